import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Knex } from 'knex'
import { Agent, request } from 'undici'
import { expect } from 'vitest'
import { declareReplicables } from '../../fixtures/widget-app/replicables.ts'
import { encodeDigest } from '../../lib/blob/digest.ts'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { insertSite } from '../../lib/site-table.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { Draw, seedOfRun } from './draw.ts'
import { addRegistryRow, ENCRYPTION_KEY, untyped } from './fixture-rows.ts'
import { folderContents } from './folder-contents.ts'
import { doorsOf, otherPathsOf } from './forged-doors.ts'
import { type Door, type ForgersLoot, forge, genuine, type Signer } from './forgeries.ts'
import { createPrimarySite, type PrimarySite } from './primary-site.ts'
import { digestOf } from './verifying-site.ts'

const AT_ONCE = 32
/** Whoever gets any other answer, also 409, has been let in. */
const REFUSALS = [400, 401, 403, 404, 415, 431]
const SECRET_BYTES = 'nobody but a site may read this'

/** A primary and a secondary with all of their doors, and somebody who knocks at them with forged tokens. */
export interface ForgedKnocks {
  /** Sends so many forged requests, the same for the same seed. */
  knock(seed: number, count: number): Promise<KnockTally>
  /** What each door answers to whom it is for. */
  genuine(): Promise<Record<string, number>>
  /** All that a request could change. */
  everything(): Promise<unknown>
  close(): Promise<void>
}

export interface KnockTally {
  readonly sent: number
  readonly byStatus: Readonly<Record<string, number>>
  /** What was answered otherwise than by a refusal: none is to be. */
  readonly accepted: readonly string[]
}

/** Each door lets in whom it is for; that the primary is no secondary is said to the primary alone. */
const OPEN = {
  one: 200,
  many: 200,
  status: 201,
  site: 200,
  details: 409,
  graphql: 409,
  copies: 409,
  epoch: 200,
  'details of the secondary': 200,
  'graphql of the secondary': 200,
  'copies of the secondary': 200,
  'epoch of the secondary': 200,
}

/** So many forged requests open no door and change nothing, and whom the doors are for is let in before and after. */
export async function knockInVain(knocks: ForgedKnocks, count: number): Promise<void> {
  expect(await knocks.genuine()).toEqual(OPEN)
  const before = await knocks.everything()
  const seed = seedOfRun()
  const { sent, byStatus, accepted } = await knocks.knock(seed, count)
  console.log(JSON.stringify({ seed, sent, byStatus, accepted: accepted.length }))
  expect(accepted.slice(0, 5)).toEqual([])
  expect(sent).toBe(count)
  expect(await knocks.everything()).toEqual(before)
  expect(await knocks.genuine()).toEqual(OPEN)
}

export async function openForgedKnocks(): Promise<ForgedKnocks> {
  const site = await createPrimarySite()
  const oslo = await insertSite(site.databases.main, ENCRYPTION_KEY, { name: 'oslo', url: 'http://oslo.test' })
  const ids = [await site.addWidget('one', SECRET_BYTES), await site.addWidget('two', SECRET_BYTES)]
  const urls = {
    primary: await site.serveAlso({ graphql: geoGraphql() }),
    secondary: await serveSecondary(site, ids[1]),
  }
  const agent = new Agent({ connections: AT_ONCE })
  const signerOf = (of: typeof oslo): Signer => ({ accessKey: of.accessKey, secret: site.secretOf(of) })
  const [tokyo, paris] = [signerOf(site.tokyo), signerOf(site.paris)]
  const loot = {
    doors: doorsOf(site, { tokyo, paris }, ids),
    others: [tokyo, paris, signerOf(oslo)],
    found: [
      site.encryptionKey,
      site.paris.secret.ciphertext.toString('hex'),
      site.paris.secret.ciphertext.toString('latin1'),
    ],
    otherPaths: otherPathsOf(site, ids, oslo.id),
  }

  async function send({
    at,
    method,
    path,
    body,
    headers,
  }: Pick<Door, 'at' | 'method' | 'path' | 'body'> & { headers: readonly string[] }) {
    const type = body === null ? [] : ['content-type', 'application/json']
    try {
      const response = await request(`${urls[at]}${path}`, {
        method,
        body,
        headers: [...headers, ...type],
        dispatcher: agent,
      })
      return { status: response.statusCode, text: await response.body.text() }
    } catch (reason) {
      // A header that is longer than any may be is not read to its end.
      const { code } = reason as { code?: string }
      if (['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(code ?? '')) return { status: 0, text: '' }
      throw reason
    }
  }

  return {
    async knock(seed, count) {
      const draw = new Draw(seed)
      const byStatus: Record<string, number> = {}
      const accepted: string[] = []
      let sent = 0
      const one = async (): Promise<void> => {
        while (sent < count) {
          const full: ForgersLoot = { ...loot, nowS: Math.floor(site.clock.nowMs() / 1000) }
          const forged = forge(draw, sent, full)
          sent += 1
          const { status, text } = await send(forged)
          byStatus[status] = (byStatus[status] ?? 0) + 1
          const refused = REFUSALS.includes(status) || (status === 0 && forged.kind === 'huge')
          if (!refused || text.includes(SECRET_BYTES)) accepted.push(JSON.stringify({ status, ...forged }))
          if (sent % 1000 === 0) site.takeLoggedCodes()
        }
      }
      await Promise.all(Array.from({ length: AT_ONCE }, one))
      return { sent, byStatus, accepted }
    },
    async genuine() {
      const answers: Record<string, number> = {}
      for (const door of loot.doors) {
        const nowS = Math.floor(site.clock.nowMs() / 1000)
        answers[door.name] = (await send({ ...door, headers: ['authorization', genuine(door, nowS)] })).status
      }
      return answers
    },
    async everything() {
      const { main, tracking } = site.databases
      const rows = await Promise.all([main, tracking].map(rowsOf))
      return { rows, files: await folderContents(join(site.root, '..')) }
    },
    async close() {
      await agent.destroy()
      await site.close()
    },
  }
}

/** The secondary, with a copy of one widget to lend. */
async function serveSecondary(site: PrimarySite, id = ''): Promise<string> {
  const { main, standby, tracking, caughtUp } = site.databases
  const root = join(site.root, '..', 'copies')
  const { widgets, gadgets } = declareReplicables(root)
  const checksum = {
    verification_state: VERIFICATION_STATE.succeeded,
    verification_checksum: encodeDigest(await digestOf(SECRET_BYTES)),
  }
  await mkdir(root)
  await writeFile(join(root, 'two'), SECRET_BYTES)
  await main('widget_states').insert({ widget_id: id, ...checksum })
  const stored = { state: SYNC_STATE.synced, blob_key: 'two', bytes: SECRET_BYTES.length }
  await addRegistryRow(tracking, untyped(widgets), id, { ...stored, ...checksum })
  await caughtUp()
  return site.serveAlso({
    siteName: 'paris',
    mainDb: standby,
    trackingDb: tracking,
    replicables: [widgets, gadgets],
    features: { isEnabled: () => true },
    graphql: geoGraphql(),
  })
}

async function rowsOf(db: Knex): Promise<Record<string, unknown>> {
  const tables: string[] = await db('pg_tables').where({ schemaname: 'public' }).orderBy('tablename').pluck('tablename')
  const rows = tables.map(async (table) => [table, await db(table).select().orderBy(1)] as const)
  return Object.fromEntries(await Promise.all(rows))
}
