import { execFile } from 'node:child_process'
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Server } from '../databases.ts'

const run = promisify(execFile)

/** Throws the replica away and puts a new one in its place, from a backup of the running primary. */
export async function remakeReplica(primary: Server, { replica }: { readonly replica: Server }): Promise<void> {
  await replica.stop()
  await rm(replica.dir, { recursive: true })
  await backup(primary, replica.dir)
  await replica.start()
}

/**
 * Makes the data folder of a standby out of the running primary's: as an operator would with pg_basebackup, which the packaged
 * server comes without.
 */
export async function backup(primary: Server, dir: string): Promise<void> {
  const client = new pg.Client({ connectionString: primary.url })
  await client.connect()
  try {
    await client.query("select pg_backup_start('chaos', true)")
    const owner = await stat(primary.dir)
    await run('cp', ['-Rp', primary.dir, dir]).catch((reason: unknown) => {
      // Files that went while it was copied are in the WAL.
      if (!/No such file or directory/.test(String(reason))) throw reason
    })
    const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)')
    await rm(join(dir, 'postmaster.pid'), { force: true })
    await rm(join(dir, 'postmaster.opts'), { force: true })
    await emptied(join(dir, 'pg_replslot'))
    await writeFile(join(dir, 'backup_label'), rows[0]?.labelfile ?? '')
    await writeFile(join(dir, 'standby.signal'), '')
    if (process.getuid?.() === 0) await run('chown', ['-R', `${owner.uid}:${owner.gid}`, dir])
  } finally {
    await client.end()
  }
}

async function emptied(folder: string): Promise<void> {
  for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true })
}
