import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { context, propagation, type Span, SpanKind, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AlwaysOffSampler,
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { facadeOf } from '../lib/facade.ts'
import type { Geo } from '../lib/index.ts'
import { settle } from '../lib/testing/settle.ts'
import { SMALL_BLOB_BYTES } from '../lib/transfer/frame.ts'
import { registryRows } from './support/fixture-rows.ts'
import { createWatchedSites, type WatchedSites } from './support/watched-sites.ts'

const exporter = new InMemorySpanExporter()
let sites: WatchedSites
let rome: Geo
let names = 0

beforeAll(async () => {
  sites = await createWatchedSites()
  rome = facadeOf(sites.rome)
  // From the first look on there is a position to read from.
  await sites.paris.run('events')
})
afterAll(() => sites?.close())
beforeEach(() => exporter.reset())

/** The host's own route: a row, its file and word of it, in one transaction. Returns the row's key. */
async function upload(bytes: string | null = 'bytes'): Promise<string> {
  const [widgets] = sites.rome.settings.replicables
  if (!widgets) throw new Error('No type is declared')
  const key = `traced/${names++}`
  if (bytes !== null) {
    await mkdir(dirname(join(sites.root, key)), { recursive: true })
    await writeFile(join(sites.root, key), bytes)
  }
  return sites.paris.databases.main.transaction(async (trx) => {
    const [row] = await trx('widgets').insert({ name: 'traced', file_path: key }).returning('*')
    await rome.replicator(widgets).created(row, trx)
    return String(row.id)
  })
}

/** Another file for a row, as a route of the host that takes one. */
async function change(id: string): Promise<void> {
  const [widgets] = sites.rome.settings.replicables
  if (!widgets) throw new Error('No type is declared')
  const key = `traced/${names++}`
  await writeFile(join(sites.root, key), 'others')
  await sites.paris.databases.main.transaction(async (trx) => {
    const [row] = await trx('widgets').where({ id }).update({ file_path: key }).returning('*')
    await rome.replicator(widgets).updated(row, trx)
  })
}

async function replicate(): Promise<void> {
  const { assembly, databases } = sites.paris
  await settle(sites.rome, ['verify-primary'])
  await databases.caughtUp()
  await sites.paris.hear()
  await settle(assembly, ['sync', 'verify'])
}

const rowOf = async (id: string) =>
  (await registryRows(sites.paris.databases.tracking, sites.paris.widgets)).find(
    (row) => String(row['widget_id']) === id,
  )

it('Without an SDK there is no span and no propagation, and nothing is carried', async () => {
  const looked = vi.spyOn(trace, 'getActiveSpan')
  const others = [
    vi.spyOn(trace, 'getTracer'),
    vi.spyOn(trace, 'setSpanContext'),
    vi.spyOn(trace, 'wrapSpanContext'),
    vi.spyOn(propagation, 'inject'),
    vi.spyOn(propagation, 'extract'),
  ]
  const id = await upload()
  await replicate()
  const [event] = await sites.paris.databases.main('geo_events').where({ event_name: 'created' }).select('payload')
  expect(event.payload).toEqual({ model_record_id: id })
  expect(await rowOf(id)).toMatchObject({ state: 2, verification_state: 2, traceparent: null })
  expect(looked).toHaveBeenCalledTimes(1)
  for (const other of others) expect(other).not.toHaveBeenCalled()
  vi.restoreAllMocks()
})

describe('With an SDK', () => {
  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  })
  afterAll(() => {
    trace.disable()
    context.disable()
  })

  const inSpan = <Result>(work: () => Promise<Result>): Promise<{ traceId: string; spanId: string; result: Result }> =>
    trace.getTracer('host').startActiveSpan('POST /widgets', async (span: Span) => {
      const result = await work().finally(() => span.end())
      return { ...span.spanContext(), result }
    })
  const spansOf = (traceId: string) =>
    exporter.getFinishedSpans().filter((span) => span.spanContext().traceId === traceId)
  const named = (spans: readonly ReadableSpan[], name: string) => spans.filter((span) => span.name === name)

  it('one trace leads from the insert of the host to the verified copy', async () => {
    const { traceId, spanId, result: id } = await inSpan(() => upload())
    await sites.paris.databases.caughtUp()
    await sites.paris.hear()
    expect((await rowOf(id))?.['traceparent']).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`))
    await replicate()

    const spans = spansOf(traceId)
    expect(spans.map(({ name }) => name).toSorted()).toEqual([
      'POST /widgets',
      'geo publish',
      'geo serve',
      'geo sync',
      'geo transfer',
      'geo verify',
    ])
    const [publish] = named(spans, 'geo publish')
    const [transfer] = named(spans, 'geo transfer')
    const [serve] = named(spans, 'geo serve')
    expect(publish).toMatchObject({
      kind: SpanKind.PRODUCER,
      parentSpanContext: { spanId },
      attributes: { 'geo.type': 'widget', 'geo.record_id': id, 'geo.event': 'created' },
    })
    const publishId = publish?.spanContext().spanId
    for (const name of ['geo sync', 'geo transfer', 'geo verify'])
      expect(named(spans, name)[0]?.parentSpanContext?.spanId, name).toBe(publishId)
    expect(serve?.parentSpanContext?.spanId).toBe(transfer?.spanContext().spanId)
    expect(named(spans, 'geo sync')[0]?.attributes).toMatchObject({ 'geo.bytes': 5, 'geo.fetched': true })
    // The trace is over: what is done to the copy later belongs to it no more.
    expect(await rowOf(id)).toMatchObject({ verification_state: 2, traceparent: null })
  })

  it('blobs of several traces share one transfer, which links to them', async () => {
    const first = await inSpan(() => upload('one'))
    const second = await inSpan(() => upload('two'))
    await upload('of no trace')
    await replicate()
    const transfers = named(exporter.getFinishedSpans(), 'geo transfer')
    expect(transfers).toHaveLength(1)
    const traces = [
      transfers[0]?.spanContext().traceId,
      ...(transfers[0]?.links ?? []).map((link) => link.context.traceId),
    ]
    expect(traces.toSorted()).toEqual([first.traceId, second.traceId].toSorted())
    expect(named(exporter.getFinishedSpans(), 'geo verify')).toHaveLength(2)
    for (const { traceId } of [first, second]) expect(named(spansOf(traceId), 'geo sync')).toHaveLength(1)
  })

  it('a large blob is asked for by itself, and the primary hears of the trace then too', async () => {
    const { traceId } = await inSpan(() => upload('x'.repeat(SMALL_BLOB_BYTES + 1)))
    await replicate()
    const asked = named(spansOf(traceId), 'geo transfer').map((span) => span.spanContext().spanId)
    const served = named(spansOf(traceId), 'geo serve').map((span) => span.parentSpanContext?.spanId)
    // First with the small ones, for its size is not known yet.
    expect(asked).toHaveLength(2)
    expect(served.toSorted()).toEqual(asked.toSorted())
  })

  it('a blob whose file was replaced goes on in the trace of the change', async () => {
    const { result: id } = await inSpan(() => upload())
    await replicate()
    const { traceId } = await inSpan(() => change(id))
    await replicate()
    expect(spansOf(traceId).map(({ name }) => name)).toEqual(expect.arrayContaining(['geo sync', 'geo verify']))
    expect(named(spansOf(traceId), 'geo publish')[0]?.attributes).toMatchObject({ 'geo.event': 'updated' })
  })

  it('a transfer that the primary does not answer says so in its span', async () => {
    const { traceId } = await inSpan(() => upload())
    await settle(sites.rome, ['verify-primary'])
    await sites.paris.hear()
    await sites.cut()
    await settle(sites.paris.assembly, ['sync'])
    await sites.mend()
    const [transfer] = named(spansOf(traceId), 'geo transfer')
    expect(transfer?.status).toMatchObject({ code: 2, message: expect.stringMatching(/^PRIMARY_UNREACHABLE: /) })
    sites.paris.clock.advance(600_000)
    await replicate()
    expect(named(spansOf(traceId), 'geo verify')).toHaveLength(1)
  })

  it('a copy that is not what the primary has says so in its span, and the trace goes on until it is', async () => {
    const { traceId, result: id } = await inSpan(() => upload())
    await sites.paris.databases.caughtUp()
    await sites.paris.hear()
    // Before the primary has a checksum of it.
    await settle(sites.paris.assembly, ['sync'])
    const { file_path: key } = await sites.paris.databases.main('widgets').where({ id }).first('file_path')
    await writeFile(join(sites.paris.root, key), 'other bytes')
    await settle(sites.rome, ['verify-primary'])
    await sites.paris.databases.caughtUp()
    await sites.paris.hear()
    await settle(sites.paris.assembly, ['verify'])
    // As if its next attempt had come.
    await sites.paris.databases.tracking('widget_registry').where({ widget_id: id }).update({ retry_at: null })
    await settle(sites.paris.assembly, ['sync', 'verify'])
    const verified = named(spansOf(traceId), 'geo verify').map(({ status }) => status)
    expect(verified[0]).toMatchObject({ code: 2, message: expect.stringContaining('Checksum does not match') })
    expect(verified.slice(1)).toEqual([{ code: 0 }])
    expect(named(spansOf(traceId), 'geo sync')).toHaveLength(2)
  })

  it('a blob that fails says so in its span', async () => {
    const { traceId } = await inSpan(() => upload(null))
    await replicate()
    const [sync] = named(spansOf(traceId), 'geo sync')
    expect(sync?.status).toMatchObject({ code: 2, message: expect.stringContaining('FILE_NOT_FOUND') })
  })

  it('what is published outside of a trace begins none, and what is not recorded is not carried', async () => {
    await upload()
    const provider = new BasicTracerProvider({ sampler: new AlwaysOffSampler() })
    const id = await provider.getTracer('host').startActiveSpan('POST /widgets', () => upload())
    await sites.paris.databases.caughtUp()
    await sites.paris.hear()
    expect((await rowOf(id))?.['traceparent']).toBeNull()
    await replicate()
    expect(exporter.getFinishedSpans()).toEqual([])
  })

  it('a traceparent that cannot be read is no trace', async () => {
    const { main, caughtUp, tracking } = sites.paris.databases
    const id = await upload()
    await main('geo_events')
      .whereRaw(`payload ->> 'model_record_id' = ?`, [id])
      .update({ payload: JSON.stringify({ model_record_id: id, traceparent: '00-nonsense' }) })
    await caughtUp()
    await replicate()
    expect(await tracking('widget_registry').where({ widget_id: id }).first()).toMatchObject({ verification_state: 2 })
    expect(exporter.getFinishedSpans()).toEqual([])
  })
})
