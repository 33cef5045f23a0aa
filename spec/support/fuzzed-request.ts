import { jsonText } from '../../lib/transfer/json-text.ts'
import { digestOfIds, type TokenScope } from '../../lib/transfer/token.ts'
import type { Draw } from './draw.ts'
import { genuine, type Signer } from './forgeries.ts'

/** What a fuzzer may know: it signs well, so that what it sends is read. */
export interface FuzzLoot {
  readonly nowS: number
  readonly signers: readonly Signer[]
  readonly ids: readonly string[]
}

export interface FuzzedRequest {
  /** What goes over the wire. */
  readonly bytes: Buffer
  /** Whether it is a whole request, which is answered; else nothing may come, and it is over with what is sent. */
  readonly isWhole: boolean
}

const TEXTS = [
  '',
  '0',
  '1',
  '2',
  '-1',
  '1e3',
  '0x1',
  '1.5',
  '007',
  '2147483648',
  '9223372036854775807',
  '9223372036854775808',
  '9'.repeat(400),
  'NaN',
  'null',
  'true',
  '..',
  '../../etc/passwd',
  '/etc/passwd',
  'a'.repeat(300),
  'a'.repeat(9000),
  '\0',
  'a\0b',
  '\n',
  '\r\nx: y',
  '\t',
  ' ',
  '\u0085',
  '\u{1f600}',
  '\ud800',
  'é',
  'e\u0301',
  '__proto__',
  'constructor',
  'toString',
  "'",
  '"',
  '`',
  "' or 1=1 --",
  '$1',
  '?',
  '??',
  ':name',
  '%',
  '%s',
  '\\',
  '<script>alert(1)</script>',
  '#{7*7}',
  'widget',
  'widgets',
  'gadgets',
  'rome',
  'paris',
  'failed',
  'created_at desc',
  '2026-02-30T25:61:00Z',
  'http://127.0.0.1:1/',
  'http://[::1',
  'javascript:alert(1)',
]

const PATHS = [
  'api/v4/geo/retrieve/:name/:id',
  'api/v4/geo/retrieve/:name',
  'api/v4/geo/copies/:name/:id',
  'api/v4/geo/status',
  'api/v4/geo/details',
  'api/v4/geo/epoch',
  'api/v4/geo/graphql',
  'api/v4/geo/node_proxy/:id/graphql',
  'api/v4/geo/openapi.json',
  'api/v4/geo_nodes',
  'api/v4/geo_nodes/:id',
  'api/v4/geo_nodes/:id/status',
  'api/v4/geo_nodes/:id/repair',
  'api/v4/geo_nodes/status',
  'api/v4/geo_nodes/status.schema.json',
  'api/v4/geo_sites',
  'api/v4/geo_sites/:id',
  'api/v4/geo_sites/statuses',
  'api/graphql',
  'metrics',
  'healthz',
  'readyz',
  'admin/geo',
  'admin/geo/assets/:name',
  'admin/geo/sites',
  'admin/geo/sites/new',
  'admin/geo/sites/:id',
  'admin/geo/sites/:id/edit',
  'admin/geo/sites/:id/remove',
  'admin/geo/sites/:id/replication',
  'admin/geo/sites/:id/replication/:name',
  'admin/geo/sites/:id/replication/:name/change',
  'admin/geo/sites/:id/replication/:name/run',
  'admin/geo/sites/:id/replication/:name/runs/:id/cancel',
  'admin/geo/sites/:id/replication/:name/failures',
  'admin/geo/sites/:id/replication/:name/:id',
  'admin/geo/replication/:name',
  'admin/geo/failover',
  'admin/geo/failover/:id',
  'admin/geo/audit',
  'admin/geo/nowhere',
]

const PARAMETERS = [
  'page',
  'per_page',
  'refresh',
  'cursor',
  'after',
  'before',
  'sort',
  'order',
  'shown',
  'filter',
  'state',
  'code',
  'keyword',
  'q',
  'query',
  'variables',
  'ids',
  'ids[]',
  'action',
  'type',
  'live',
  'dry_run',
  'name',
  'url',
  'enabled',
  'primary',
  'files_max_capacity',
  'selective_sync_type',
  'redirect_hosts',
  'a[b][c]',
  '__proto__[x]',
]

const BODIES: readonly unknown[] = [
  { ids: ['1', '2', '3'] },
  {
    cursor_xact_id: '7',
    cursor_last_event_id: '5',
    system_identifier: '7300000000000000000',
    timeline: 1,
    status: {
      healthy: true,
      version: '0.1.0',
      widgets_count: 3,
      widgets_registry_count: 3,
      last_event_timestamp: 1_800_000_000,
      clock_skew_seconds: 0.1,
      storage_shards: [{ name: 'widget:xxh64' }],
      outdated_fields: ['widgets_count'],
      progress: {
        widgets: {
          corrupt_count: null,
          synced_bytes: 5,
          pending_bytes: 5,
          in_flight_count: 1,
          oldest_unsynced_seconds: 1.5,
          lag_seconds: { buckets: [{ le: 1, count: 1 }], p50: 1, p99: null },
          blobs_per_second: { last_minute: 1, last_5_minutes: 1, last_60_minutes: 1 },
          bytes_per_second: { last_minute: 1, last_5_minutes: 1, last_60_minutes: 1 },
          remaining_seconds: 3,
        },
      },
    },
  },
  {
    cursor_xact_id: '7',
    cursor_last_event_id: '5',
    system_identifier: 'x',
    timeline: 1,
    status: { widgets_count: 1, progress: { widgets: {}, gadgets: { blobs_per_second: null, lag_seconds: {} } } },
  },
  { call: 'runs', input: {} },
  { call: 'registries', input: { type: 'widget', first: 20, filter: { state: 'failed' } } },
  { call: 'update', input: { type: 'widget', ids: ['1'], action: 'resync' } },
  { query: '{ geoNode { id name widgetRegistries(first: 5) { nodes { id state } pageInfo { endCursor } } } }' },
  { query: '{ geoNodes { name progress { health types { name pendingBytes blobsPerSecond remainingSeconds } } } }' },
  { query: 'query q($a: Int) { geoNode { widgetRegistries(first: $a) { count } } }', variables: { a: 5 } },
  {
    query:
      'mutation { geoRegistriesUpdate(input: { registryId: "gid://gitlab/Geo::WidgetRegistry/1", action: RESYNC }) { errors } }',
  },
  {
    name: 'oslo',
    url: 'http://oslo.test/',
    internal_url: '',
    enabled: true,
    files_max_capacity: 5,
    selective_sync_type: 'namespaces',
    selective_sync_namespace_ids: ['1', '2'],
    redirect_hosts: ['files.test:9000'],
  },
]

/** A request of any kind, the same for the same draw. */
export function fuzzedRequest(draw: Draw, loot: FuzzLoot): FuzzedRequest {
  if (draw.below(40) === 0) return { bytes: noise(draw, 1 + draw.below(3000)), isWhole: false }
  const method = draw.of(['GET', 'GET', 'GET', 'POST', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'])
  const { path, scope } = pathOf(draw, loot)
  const body = method === 'GET' || method === 'HEAD' ? null : bodyOf(draw)
  const headers = [
    `host: ${draw.below(20) === 0 ? headerText(draw) : 'site.test'}`,
    'connection: close',
    ...authorizationOf(draw, loot, scope, body),
    ...moreHeaders(draw),
    ...(body ? [`content-type: ${body.type}`, ...lengthOf(draw, body.bytes)] : []),
  ]
  const head = Buffer.from(`${method} /${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`)
  const isChunked = headers.some((header) => header.startsWith('transfer-encoding'))
  const framed = body && isChunked ? chunked(draw, body.bytes) : (body?.bytes ?? Buffer.alloc(0))
  const announced = Number(headers.find((header) => header.startsWith('content-length'))?.split(' ')[1] ?? 0)
  return { bytes: Buffer.concat([head, framed]), isWhole: !isChunked && announced <= framed.length }
}

function noise(draw: Draw, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => draw.below(256)))
}

/** What may stand in a header at all. */
function headerText(draw: Draw): string {
  return draw
    .of(TEXTS)
    .replaceAll(/[^\x20-\x7e\x80-\xff]/g, '')
    .slice(0, 6000)
}

function inPath(draw: Draw, text: string): string {
  // As it is, where that makes a request line at all, or encoded, or with what no text is encoded to.
  const way = draw.below(8)
  if (way === 0) return text.replaceAll(/[\s\0]/g, '')
  if (way === 1) return draw.of(['%00', '%', '%zz', '%c0%af', '%ff', '%2e%2e%2f', '%2f', '%5c', '%0d%0a'])
  return encodeURIComponent(text.toWellFormed())
}

function pathOf(draw: Draw, { ids }: FuzzLoot): { path: string; scope: TokenScope | null } {
  const template = draw.of(PATHS)
  const filled: Record<string, string> = {}
  const path = template.replaceAll(/:(name|id)/g, (_, what: 'name' | 'id') => {
    const usual = what === 'id' ? draw.of([...ids, '1', '2']) : draw.of(['widget', 'widgets', 'gadget'])
    const text = draw.below(5) === 0 ? draw.of(TEXTS) : usual
    filled[what] ??= text
    return inPath(draw, text)
  })
  const query = Array.from({ length: draw.below(4) }, () => {
    const name = draw.of(PARAMETERS)
    return Array.from({ length: draw.below(30) === 0 ? 300 : 1 }, () => `${name}=${inPath(draw, draw.of(TEXTS))}`).join(
      '&',
    )
  })
  const scope =
    filled['name'] !== undefined && filled['id'] !== undefined
      ? { replicable_name: filled['name'], replicable_id: filled['id'] }
      : null
  return { path: `${path}${query.length > 0 ? `?${query.join('&')}` : ''}`.slice(0, 12_000), scope }
}

interface Body {
  readonly type: string
  readonly bytes: Buffer
  /** What it says, if it is JSON. */
  readonly value?: unknown
}

function bodyOf(draw: Draw): Body {
  const way = draw.below(10)
  if (way === 0) return { type: 'application/json', bytes: noise(draw, draw.below(2000)) }
  if (way === 1) return { type: headerText(draw), bytes: Buffer.from(JSON.stringify(draw.of(BODIES))) }
  if (way < 5) {
    const fields = Array.from({ length: draw.below(8) }, () => `${draw.of(PARAMETERS)}=${inPath(draw, draw.of(TEXTS))}`)
    return { type: 'application/x-www-form-urlencoded', bytes: Buffer.from(fields.join('&')) }
  }
  const value = changed(draw, draw.of(BODIES))
  const text = JSON.stringify(value) ?? 'null'
  const broken = draw.below(12) === 0 ? text.slice(0, draw.below(text.length + 1)) : text
  return { type: 'application/json', bytes: Buffer.from(broken), value }
}

/** The same with some of it replaced. */
function changed(draw: Draw, value: unknown): unknown {
  if (draw.below(7) === 0) return hostileValue(draw)
  if (Array.isArray(value)) return value.map((item) => changed(draw, item))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, item]): [string, unknown] => [name, changed(draw, item)])
  if (draw.below(6) === 0) entries.push([draw.of(TEXTS), hostileValue(draw)])
  if (draw.below(6) === 0) entries.splice(draw.below(entries.length + 1), 1)
  return Object.fromEntries(entries)
}

function hostileValue(draw: Draw): unknown {
  return draw.of<() => unknown>([
    () => draw.of(TEXTS),
    () => null,
    () => true,
    () => draw.of([0, -0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, -1e308]),
    () => [],
    () => ({}),
    () => Array.from({ length: 1000 }, () => draw.of(TEXTS).slice(0, 50)),
    () => nested(draw.of([10, 200, 3000])),
    () => ({ toString: 'x', length: -1, constructor: 'y' }),
  ])()
}

function nested(depth: number): unknown {
  let value: unknown = 1
  for (let level = 0; level < depth; level += 1) value = level % 2 ? [value] : { a: value }
  return value
}

/** Mostly one that opens the door, for what stands behind it is to be reached. */
function authorizationOf(draw: Draw, loot: FuzzLoot, ofPath: TokenScope | null, body: Body | null): string[] {
  const way = draw.below(10)
  if (way === 0) return []
  if (way === 1) return [`authorization: ${headerText(draw)}`]
  const signer = draw.of(loot.signers)
  const forSomebody = { authenticating_user_id: draw.of(['1', null]), abilities: ['read_geo', 'admin_geo'] as const }
  const sha256 = jsonText(body?.value ?? {}).sha256
  const value = body?.value
  const ids = typeof value === 'object' && value !== null && 'ids' in value ? value.ids : null
  const scope = draw.of<TokenScope>([
    ofPath ?? { scope: 'geo_api' },
    Array.isArray(ids)
      ? {
          replicable_name: 'widget',
          replicable_ids_sha256: digestOfIds(ids.filter((id) => typeof id !== 'object').map(String)),
        }
      : { scope: 'geo_api' },
    { details_sha256: sha256, ...forSomebody },
    { graphql_sha256: sha256, ...forSomebody },
  ])
  const door = { name: '', method: 'GET', path: '', body: null, signer, scope } as const
  return [`authorization: ${genuine(door, loot.nowS)}`]
}

function moreHeaders(draw: Draw): string[] {
  const names = [
    'range',
    'if-range',
    'if-none-match',
    'if-modified-since',
    'accept',
    'accept-encoding',
    'accept-language',
    'content-encoding',
    'traceparent',
    'tracestate',
    'cookie',
    'origin',
    'referer',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-http-method-override',
    'sec-fetch-site',
    'last-event-id',
    'expect',
  ]
  const usual: Readonly<Record<string, readonly string[]>> = {
    range: ['bytes=0-', 'bytes=5-2', 'bytes=-1', 'bytes=99999999999-', 'bytes=0-1,2-3', 'lines=1-2'],
    accept: ['application/json', 'text/html', 'text/event-stream', '*/*;q=x', 'a'.repeat(2000)],
    'accept-encoding': ['gzip', 'br', 'identity;q=0', '*'],
    'content-encoding': ['gzip', 'br', 'deflate', 'identity', 'zstd'],
    'sec-fetch-site': ['same-origin', 'cross-site', 'none'],
    traceparent: ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', '00-0-0-0'],
    expect: ['100-continue'],
  }
  const some = Array.from({ length: draw.below(4) }, () => {
    const name = draw.of(names)
    return `${name}: ${draw.below(3) > 0 && usual[name] ? draw.of(usual[name]) : headerText(draw)}`
  })
  // Else hardly a form would be read.
  return draw.below(2) === 0 ? ['sec-fetch-site: same-origin', ...some.filter((one) => !one.startsWith('sec-'))] : some
}

function lengthOf(draw: Draw, bytes: Buffer): string[] {
  const way = draw.below(30)
  if (way === 0) return ['transfer-encoding: chunked']
  if (way === 1) return [`content-length: ${bytes.length + 1 + draw.below(1_000_000)}`]
  if (way === 2) return [`content-length: ${Math.floor(bytes.length / 2)}`]
  return [`content-length: ${bytes.length}`]
}

function chunked(draw: Draw, bytes: Buffer): Buffer {
  const size = draw.of([bytes.length.toString(16), 'zz', '-1', 'ffffffffffffffff', (bytes.length + 5).toString(16)])
  return Buffer.concat([Buffer.from(`${size}\r\n`), bytes, Buffer.from('\r\n0\r\n\r\n')])
}
