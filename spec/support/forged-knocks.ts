import { join } from 'node:path'
import { Agent, request } from 'undici'
import { expect } from 'vitest'
import { insertSite } from '../../lib/site-table.ts'
import { jsonText } from '../../lib/transfer/json-text.ts'
import { digestOfIds } from '../../lib/transfer/token.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { Draw, seedOfRun } from './draw.ts'
import { ENCRYPTION_KEY } from './fixture-rows.ts'
import { folderContents } from './folder-contents.ts'
import { type Door, type ForgersLoot, forge, genuine, type Signer } from './forgeries.ts'
import { createPrimarySite, type PrimarySite } from './primary-site.ts'

const AT_ONCE = 32
/** Whoever gets any other answer, also 409, has been let in. */
const REFUSALS = [400, 401, 403, 404, 415, 431]
const SECRET_BYTES = 'nobody but a site may read this'

/** A primary with all of its doors, and somebody who knocks at them with forged tokens. */
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
const OPEN = { one: 200, many: 200, status: 201, site: 200, details: 409, graphql: 409, copies: 409, epoch: 200 }

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
  const url = await site.serveAlso({ graphql: geoGraphql() })
  const ids = [await site.addWidget('one', SECRET_BYTES), await site.addWidget('two', SECRET_BYTES)]
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
    method,
    path,
    body,
    headers,
  }: Pick<Door, 'method' | 'path' | 'body'> & { headers: readonly string[] }) {
    const type = body === null ? [] : ['content-type', 'application/json']
    try {
      const response = await request(`${url}${path}`, {
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
      const tables = [
        'widgets',
        'widget_states',
        'gadgets',
        'geo_nodes',
        'geo_node_statuses',
        'geo_events',
        'geo_leases',
        'geo_stores',
        'geo_bulk_runs',
        'geo_audit_events',
      ]
      const rows = await Promise.all(tables.map((table) => site.databases.main(table).select().orderBy(1)))
      return { rows, files: await folderContents(join(site.root, '..')) }
    },
    async close() {
      await agent.destroy()
      await site.close()
    },
  }
}

function doorsOf(
  { paris: { id } }: PrimarySite,
  { tokyo, paris }: { tokyo: Signer; paris: Signer },
  ids: readonly string[],
): Door[] {
  const one = { replicable_name: 'widget', replicable_id: String(ids[0]) }
  const report = JSON.stringify({ cursor_xact_id: '1', cursor_last_event_id: '1', system_identifier: 'x', timeline: 1 })
  const question = JSON.stringify({ call: 'runs', input: {} })
  const operation = JSON.stringify({ query: '{ geoNode { name } }' })
  const forSomebody = { authenticating_user_id: 'mallory', abilities: ['read_geo', 'admin_geo'] as const }
  const api = '/api/v4'
  return [
    { name: 'one', method: 'GET', path: `${api}/geo/retrieve/widget/${ids[0]}`, body: null, signer: paris, scope: one },
    {
      name: 'many',
      method: 'POST',
      path: `${api}/geo/retrieve/widget`,
      body: JSON.stringify({ ids }),
      signer: paris,
      scope: { replicable_name: 'widget', replicable_ids_sha256: digestOfIds(ids) },
    },
    {
      name: 'status',
      method: 'POST',
      path: `${api}/geo/status`,
      body: report,
      signer: paris,
      scope: { scope: 'geo_api' },
    },
    {
      name: 'site',
      method: 'PUT',
      path: `${api}/geo_nodes/${id}`,
      body: '{"enabled":true}',
      signer: paris,
      scope: { scope: 'geo_api' },
    },
    {
      name: 'details',
      method: 'POST',
      path: `${api}/geo/details`,
      body: question,
      signer: tokyo,
      scope: { details_sha256: jsonText(JSON.parse(question)).sha256, ...forSomebody },
    },
    {
      name: 'graphql',
      method: 'POST',
      path: `${api}/geo/graphql`,
      body: operation,
      signer: tokyo,
      scope: { graphql_sha256: jsonText(JSON.parse(operation)).sha256, ...forSomebody },
    },
    {
      name: 'copies',
      method: 'GET',
      path: `${api}/geo/copies/widget/${ids[1]}`,
      body: null,
      signer: tokyo,
      scope: { replicable_name: 'widget', replicable_id: String(ids[1]) },
    },
    {
      name: 'epoch',
      method: 'POST',
      path: `${api}/geo/epoch`,
      body: '{}',
      signer: paris,
      scope: { scope: 'geo_api' },
    },
  ]
}

function otherPathsOf(
  { tokyo }: PrimarySite,
  [first, second]: readonly string[],
  osloId: string,
): ForgersLoot['otherPaths'] {
  const api = '/api/v4'
  const blobs = (base: string, own: string | undefined, other: string | undefined) =>
    [
      other,
      `${own}/../${other}`,
      `${other}?id=${own}`,
      `${other}/${own}`,
      `0${own}`,
      `%20${own}`,
      `${own}%00`,
      `${own}%0a`,
      `${other}%2f..%2f${own}`,
      `-${own}`,
      `+${own}`,
      `${own}.0`,
      `${own}e0`,
      '',
    ]
      .map((id) => `${base}/${id}`)
      .concat(
        `${api}/geo/retrieve/gadget/${own}`,
        `${api}/geo/retrieve/Widget/${own}`,
        `${api}/geo/retrieve/widget%00/${own}`,
      )
  return {
    one: blobs(`${api}/geo/retrieve/widget`, first, second),
    many: [
      `${api}/geo/retrieve/gadget`,
      `${api}/geo/retrieve/WIDGET`,
      `${api}/geo/retrieve/widget%20`,
      `${api}/geo/status`,
      `${api}/geo/details`,
    ],
    status: [`${api}/geo/retrieve/widget`, `${api}/geo/details`, `${api}/geo/graphql`],
    site: [
      `${api}/geo_nodes/${tokyo.id}`,
      `${api}/geo_nodes/${osloId}`,
      `${api}/geo_sites/${osloId}`,
      `${api}/geo_nodes/999`,
      `${api}/geo_nodes/x`,
    ],
    details: [`${api}/geo/graphql`, `${api}/geo/status`, `${api}/geo/retrieve/widget`],
    graphql: [`${api}/geo/details`, `${api}/geo/status`, `${api}/geo/node_proxy/1/graphql`],
    copies: blobs(`${api}/geo/copies/widget`, second, first),
    epoch: [`${api}/geo/retrieve/widget`, `${api}/geo/details`, `${api}/geo/graphql`, `${api}/geo/epoch/x`],
  }
}
