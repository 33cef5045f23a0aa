import { encodeDigest } from '../../lib/blob/digest.ts'
import { encodeHeader, FRAMES_CONTENT_TYPE, type FrameHeader } from '../../lib/transfer/frame.ts'
import { VERIFICATION_STATE } from '../../lib/verification/verification-state.ts'
import type { AssembledSite } from './assembled-site.ts'
import type { SpecDatabases } from './databases.ts'
import { addHostRow, addRegistryRow, type RegistryColumns, registryRow, untyped } from './fixture-rows.ts'
import type { StagedServer } from './staged-server.ts'
import { digestOf } from './verifying-site.ts'

/** Claims one batch of a secondary and works it to its end. */
export async function syncOnce({ parts }: AssembledSite): Promise<void> {
  const batch = await parts.sources.sync.claim()
  if (!batch) throw new Error('There was nothing to claim')
  await parts.sources.sync.work(batch)
}

export interface WantedWidget {
  readonly key?: string
  /** What the primary has hashed; nothing where not given. */
  readonly hashed?: string
  readonly registry?: RegistryColumns
}

/** A widget of the host that the secondary is to fetch. Returns its id. */
export async function addWantedWidget(
  { main, tracking }: SpecDatabases,
  { replicables }: AssembledSite,
  { key = 'a/file', hashed, registry = {} }: WantedWidget = {},
): Promise<string> {
  const widgets = untyped(replicables.widgets)
  const id = await addHostRow(main, widgets, { filePath: key })
  if (hashed !== undefined) {
    const checksum = encodeDigest(await digestOf(hashed))
    const state = { verification_state: VERIFICATION_STATE.succeeded, verification_checksum: checksum }
    await main('widget_states')
      .insert({ widget_id: id, ...state })
      .onConflict('widget_id')
      .merge()
  }
  await addRegistryRow(tracking, widgets, id, registry)
  return id
}

export function widgetRow({ tracking }: SpecDatabases, { replicables }: AssembledSite, id: string) {
  return registryRow(tracking, untyped(replicables.widgets), id)
}

/** The primary answers a request for many with these frames, each for the blob that is asked for first. Returns a count of requests. */
export function answerFrames(
  primary: StagedServer,
  frames: (id: string) => readonly { header: FrameHeader; body?: string }[],
): { requests: number } {
  const seen = { requests: 0 }
  primary.answer((request, response) => {
    seen.requests += 1
    let asked = ''
    request.setEncoding('utf8').on('data', (text: string) => {
      asked += text
    })
    request.on('end', () => {
      const sent = frames(String(JSON.parse(asked).ids[0]))
      const parts = sent.map(({ header, body = '' }) => Buffer.concat([encodeHeader(header), Buffer.from(body)]))
      const end = encodeHeader({ frame: 'end', count: sent.length })
      response.writeHead(200, { 'content-type': FRAMES_CONTENT_TYPE }).end(Buffer.concat([...parts, end]))
    })
  })
  return seen
}

export function blobFrame(id: string, body: string): { header: FrameHeader; body: string } {
  return { header: { frame: 'blob', id, bytes: Buffer.byteLength(body) }, body }
}
