import { execFile } from 'node:child_process'
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Server } from '../databases.ts'

const run = promisify(execFile)

/**
 * Throws the replica away and puts a new one in its place, from a backup of the running primary: as an operator would with
 * pg_basebackup, which the packaged server comes without.
 */
export async function remakeReplica(primary: Server, { replica }: { readonly replica: Server }): Promise<void> {
  const client = new pg.Client({ connectionString: primary.url })
  await client.connect()
  try {
    await client.query("select pg_backup_start('chaos', true)")
    await replica.stop()
    const owner = await stat(replica.dir)
    await rm(replica.dir, { recursive: true })
    await run('cp', ['-Rp', primary.dir, replica.dir]).catch((reason: unknown) => {
      // Files that went while it was copied are in the WAL.
      if (!/No such file or directory/.test(String(reason))) throw reason
    })
    const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)')
    await rm(join(replica.dir, 'postmaster.pid'), { force: true })
    await rm(join(replica.dir, 'postmaster.opts'), { force: true })
    await emptied(join(replica.dir, 'pg_replslot'))
    await writeFile(join(replica.dir, 'backup_label'), rows[0]?.labelfile ?? '')
    await writeFile(join(replica.dir, 'standby.signal'), '')
    if (process.getuid?.() === 0) await run('chown', ['-R', `${owner.uid}:${owner.gid}`, replica.dir])
  } finally {
    await client.end()
  }
  await replica.start()
}

async function emptied(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true })
}
