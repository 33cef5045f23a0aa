import { jsonText } from '../../lib/transfer/json-text.ts'
import { digestOfIds, type TokenScope } from '../../lib/transfer/token.ts'
import type { Draw } from './draw.ts'
import { genuine, type Signer } from './forgeries.ts'
import { BODIES, PARAMETERS, PATHS, TEXTS } from './fuzzed-words.ts'

/** What a fuzzer may know: it signs well, so that what it sends is read. */
export interface FuzzLoot {
  readonly nowS: number
  readonly signers: readonly (Signer & { readonly siteId: string })[]
  readonly ids: readonly string[]
  /** The epoch of the sites. */
  readonly epoch: number
  /** Others that may be claimed. */
  readonly otherEpochs: readonly unknown[]
}

export const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH'] as const

export interface FuzzedRequest {
  /** What goes over the wire. */
  readonly bytes: Buffer
  /** Whether it is a whole request, which is answered; else nothing may come, and it is over with what is sent. */
  readonly isWhole: boolean
}

/** A request of any kind, the same for the same draw. */
export function fuzzedRequest(draw: Draw, loot: FuzzLoot): FuzzedRequest {
  if (draw.below(40) === 0) return { bytes: noise(draw, 1 + draw.below(3000)), isWhole: false }
  const method = draw.of(['GET', 'GET', 'POST', 'POST', ...METHODS])
  const asked = pathOf(draw, loot)
  const body = method === 'GET' || method === 'HEAD' ? null : bodyOf(draw)
  const headers = [
    `host: ${draw.below(20) === 0 ? headerText(draw) : 'site.test'}`,
    'connection: close',
    ...authorizationOf(draw, loot, { ...asked, method }, body),
    ...moreHeaders(draw),
    ...(body ? [`content-type: ${body.type}`, ...lengthOf(draw, body.bytes)] : []),
  ]
  const head = Buffer.from(`${method} /${asked.path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`)
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

interface Asked {
  readonly path: string
  /** What a token for the blob at this path says. */
  readonly scope: TokenScope | null
  readonly id: string | undefined
}

function pathOf(draw: Draw, { ids }: FuzzLoot): Asked {
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
  const before = path.includes('?') ? '&' : '?'
  return {
    path: `${path}${query.length > 0 ? `${before}${query.join('&')}` : ''}`.slice(0, 12_000),
    scope,
    id: filled['id'],
  }
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
function authorizationOf(
  draw: Draw,
  loot: FuzzLoot,
  asked: Asked & { readonly method: string },
  body: Body | null,
): string[] {
  const way = draw.below(10)
  if (way === 0) return []
  if (way === 1) return [`authorization: ${headerText(draw)}`]
  // Sites sign there that they change themselves, and nothing else; all others are let in by the host.
  const isRest = asked.path.startsWith('api/v4/geo_') && way < 9
  const own = loot.signers.find(({ siteId }) => siteId === asked.id)
  if (isRest && asked.method !== 'PUT') return []
  const signer = (isRest && own) || draw.of(loot.signers)
  const scope = isRest ? ({ scope: 'geo_api' } as const) : scopeOf(draw, asked, body)
  const epoch = draw.below(8) === 0 ? draw.of(loot.otherEpochs) : loot.epoch
  return [`authorization: ${genuine({ signer, scope }, loot.nowS, { epoch })}`]
}

function scopeOf(draw: Draw, asked: Asked, body: Body | null): TokenScope {
  const forSomebody = { authenticating_user_id: draw.of(['1', null]), abilities: ['read_geo', 'admin_geo'] as const }
  const sha256 = jsonText(body?.value ?? {}).sha256
  const value = body?.value
  const ids = typeof value === 'object' && value !== null && 'ids' in value ? value.ids : null
  return draw.of<TokenScope>([
    asked.scope ?? { scope: 'geo_api' },
    Array.isArray(ids)
      ? {
          replicable_name: 'widget',
          replicable_ids_sha256: digestOfIds(ids.filter((id) => typeof id !== 'object').map(String)),
        }
      : { scope: 'geo_api' },
    { details_sha256: sha256, ...forSomebody },
    { graphql_sha256: sha256, ...forSomebody },
  ])
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
