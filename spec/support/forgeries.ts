import { createHmac } from 'node:crypto'
import type { TokenScope } from '../../lib/transfer/token.ts'
import type { Draw } from './draw.ts'

/** Who signs, and with what. */
export interface Signer {
  readonly accessKey: string
  readonly secret: string
}

/** One thing that a site may ask of another, and the token that opens it for that. */
export interface Door {
  readonly name: string
  /** At which site it is. */
  readonly at: 'primary' | 'secondary'
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly body: string | null
  readonly signer: Signer
  readonly scope: TokenScope
}

/** What all forgeries know: more than any forger should. */
export interface ForgersLoot {
  readonly nowS: number
  readonly doors: readonly Door[]
  readonly others: readonly Signer[]
  /** Secrets that are none of a site's: the encryption key, a secret as it lies in the database. */
  readonly found: readonly string[]
  /** Paths of the same door at which another blob, or another site, is. */
  readonly otherPaths: Readonly<Record<string, readonly string[]>>
}

export interface ForgedRequest {
  readonly kind: string
  readonly door: string
  readonly at: Door['at']
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly path: string
  readonly body: string | null
  /** Names and values in turns, as they go over the wire. */
  readonly headers: readonly string[]
}

type Forged = Pick<ForgedRequest, 'headers'> & Partial<Pick<ForgedRequest, 'path' | 'body'>>

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

function signed(header: object, claims: object, secret: string, hash = 'sha256'): string {
  const input = `${base64url(header)}.${base64url(claims)}`
  return `${input}.${createHmac(hash, secret).update(input).digest('base64url')}`
}

const HEADER = { alg: 'HS256', typ: 'JWT' }

function claimsOf(scope: unknown, nowS: number): Record<string, unknown> {
  return { data: JSON.stringify(scope), jti: 'x', iat: nowS, nbf: nowS - 5, exp: nowS + 60 }
}

/** The header that opens the door for a minute. */
export function genuine({ signer, scope }: Pick<Door, 'signer' | 'scope'>, nowS: number, claims: object = {}): string {
  return `GL-Geo ${signer.accessKey}:${signed(HEADER, { ...claimsOf(scope, nowS), ...claims }, signer.secret)}`
}

const authorization = (value: string): Forged => ({ headers: ['authorization', value] })
const by = ({ accessKey }: Pick<Signer, 'accessKey'>, token: string): Forged =>
  authorization(`GL-Geo ${accessKey}:${token}`)

function letters(draw: Draw, length: number): string {
  return Array.from(
    { length },
    () => 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'[draw.below(64)],
  ).join('')
}

type Kind = (draw: Draw, door: Door, loot: ForgersLoot) => Forged

const KINDS: Readonly<Record<string, Kind>> = {
  'another secret': (draw, { signer, scope }, { nowS, found }) => {
    const { secret, accessKey } = signer
    const wrong = draw.of([
      letters(draw, secret.length),
      '',
      accessKey,
      ...found,
      secret.slice(1),
      secret.slice(0, -1),
      `${secret}\0\n`,
      secret.toUpperCase(),
      Buffer.from(secret, 'base64url').toString('hex'),
    ])
    return by(signer, signed(HEADER, claimsOf(scope, nowS), wrong))
  },
  "another site's key": (draw, { signer, scope }, { nowS, others }) => {
    const other = draw.of(others.filter(({ accessKey }) => accessKey !== signer.accessKey))
    return draw.of([
      () => by(signer, signed(HEADER, claimsOf(scope, nowS), other.secret)),
      () => by(other, signed(HEADER, claimsOf(scope, nowS), signer.secret)),
    ])()
  },
  'genuine, of a site that it is not for': (draw, { name, signer, scope }, { nowS, others }) => {
    // These open to the primary alone; what others do, any site may ask for.
    if (!/^(details|graphql|copies)/.test(name)) return by(signer, '')
    const other = draw.of(others.filter(({ accessKey }) => accessKey !== signer.accessKey))
    return authorization(genuine({ signer: other, scope }, nowS))
  },
  expired: (draw, { signer, scope }, { nowS }) => {
    const then = nowS - 125 - draw.below(draw.of([10, 10_000, 1_000_000_000]))
    const claims = claimsOf(scope, then)
    if (draw.below(2)) claims['exp'] = nowS + draw.below(100_000)
    return by(signer, signed(HEADER, claims, signer.secret))
  },
  'not yet valid': (draw, { signer, scope }, { nowS }) => {
    const then = nowS + 70 + draw.below(draw.of([10, 10_000, 1_000_000_000]))
    const claims = claimsOf(scope, draw.below(2) ? then : nowS)
    claims['nbf'] = then
    claims['exp'] = then + 60
    return by(signer, signed(HEADER, claims, signer.secret))
  },
  'claims that are missing or no numbers': (draw, { signer, scope }, { nowS }) => {
    const claims = claimsOf(scope, nowS)
    const name = draw.of(['exp', 'iat', 'nbf', 'data'])
    const value = draw.of([
      undefined,
      null,
      'x',
      '',
      [],
      {},
      true,
      name === 'data' ? 1 : String(nowS),
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ])
    return by(signer, signed(HEADER, { ...claims, [name]: value }, signer.secret))
  },
  'alg none': (draw, { signer, scope }, { nowS }) => {
    const alg = draw.of(['none', 'None', 'NONE', 'nOnE', '', null, undefined, 0, ['HS256', 'none']])
    const input = `${base64url({ ...HEADER, alg })}.${base64url(claimsOf(scope, nowS))}`
    const mac = createHmac('sha256', signer.secret).update(input).digest('base64url')
    return by(signer, `${input}.${draw.of(['', mac, letters(draw, 43), 'A'.repeat(43), 'e30'])}`)
  },
  'another algorithm': (draw, { signer, scope }, { nowS }) => {
    const alg = draw.of(['HS384', 'HS512', 'RS256', 'ES256', 'PS256', 'EdDSA', 'hs256', 'HS1', 'HS256 ', 'dir'])
    const hash = draw.of(['sha256', 'sha384', 'sha512', 'sha1'])
    return by(signer, signed({ ...HEADER, alg }, claimsOf(scope, nowS), signer.secret, hash))
  },
  'a key of its own': (draw, { signer, scope }, { nowS }) => {
    const own = letters(draw, 40)
    const extra = draw.of([
      { jwk: { kty: 'oct', k: Buffer.from(own).toString('base64url') } },
      { jku: 'http://127.0.0.1:1/keys' },
      { kid: '../../../dev/null' },
      { kid: signer.accessKey },
      { x5u: 'http://127.0.0.1:1/' },
      { crit: ['b64'], b64: false },
      { crit: ['exp'], exp: 0 },
      { enc: 'A256GCM', alg: 'dir' },
    ])
    return by(signer, signed({ ...HEADER, ...extra }, claimsOf(scope, nowS), draw.of([own, ''])))
  },
  'made for another door': (draw, door, { nowS, doors }) => {
    const others = doors.filter(({ scope }) => JSON.stringify(scope) !== JSON.stringify(door.scope))
    const other = draw.of(others)
    const signer = draw.of([door.signer, other.signer])
    return by(signer, signed(HEADER, claimsOf(other.scope, nowS), signer.secret))
  },
  'made for another blob or type': (draw, { signer, scope }, { nowS }) => {
    // For whom it is asked is what the signer says, whoever that is.
    const [name, value] = draw.of(Object.entries(scope).filter(([key]) => !/^auth|^abilities$/.test(key)))
    const wrong = draw.of([
      { ...scope, [name]: `${value}${draw.of(['0', ' ', '\n', '/', '%', '.', 'x'])}` },
      { ...scope, [name]: draw.of(['', null, [value], { value }, '*', '%', '1 or 1=1', true]) },
      { ...scope, [name]: undefined },
      { ...scope, more: true },
      { replicable_name: 'gadget', replicable_id: '1' },
      { replicable_name: 'widget', replicable_id: '999999' },
      [scope],
      JSON.stringify(scope),
      null,
      {},
    ])
    return by(signer, signed(HEADER, claimsOf(wrong, nowS), signer.secret))
  },
  'replayed to another path': (draw, door, { nowS, otherPaths }) => {
    const path = draw.of(otherPaths[door.name] ?? [`${door.path}x`])
    return { ...authorization(genuine(door, nowS)), path }
  },
  'replayed with another body': (draw, door, { nowS }) => {
    // The word of a site about itself is bound to no body, so another one is no forgery there.
    if (door.body === null || 'scope' in door.scope) return by(door.signer, '')
    const body = draw.of([
      door.body.replace(/\d/, (digit) => String(9 - Number(digit))).replace('runs', 'failures'),
      '{}',
      '{"ids":[]}',
      '{"ids":["1","1"]}',
      'null',
      '[]',
      '',
      '{"ids":',
    ])
    return { ...authorization(genuine(door, nowS)), body: body === door.body ? '{}' : body }
  },
  truncated: (draw, door, { nowS }) => {
    const whole = genuine(door, nowS)
    const [scheme = '', rest = ''] = whole.split(' ')
    const [accessKey = '', token = ''] = rest.split(':')
    const parts = token.split('.')
    return authorization(
      draw.of([
        whole.slice(0, draw.below(whole.length)),
        whole.slice(1 + draw.below(whole.length - 1)),
        `${scheme} ${accessKey}`,
        `${scheme} ${accessKey}:`,
        `${scheme} ${accessKey}:${parts.slice(0, 2).join('.')}`,
        `${scheme} ${accessKey}:${parts.slice(0, 2).join('.')}.`,
        `${scheme} ${accessKey}:${parts.slice(1).join('.')}`,
        `${scheme} ${accessKey}:${token}.${parts[2]}`,
        `${scheme} ${accessKey}:.${token}`,
        `${scheme} ${accessKey}:..`,
        `${scheme} :${token}`,
        `${scheme} ${token}`,
        token,
      ]),
    )
  },
  mangled: (draw, door, { nowS }) => {
    const whole = genuine(door, nowS)
    const at = draw.below(whole.length)
    const was = whole[at] ?? ''
    const letter = draw.of([
      String.fromCharCode(0x21 + draw.below(0x5e)),
      String.fromCharCode(0x80 + draw.below(0x80)),
      letters(draw, 1),
      was.toUpperCase(),
      was.toLowerCase(),
      '=',
    ])
    const mangled = draw.of([
      `${whole.slice(0, at)}${letter}${whole.slice(at + 1)}`,
      `${whole.slice(0, at)}${letter}${whole.slice(at)}`,
      `${whole.slice(0, at)}${whole.slice(at + 1)}`,
      `${whole}${letter}`,
      `${whole}=`,
      // Of the last letter only four bits count.
      `${whole.slice(0, -1)}${letters(draw, 1)}`,
      whole.replaceAll('-', '+').replaceAll('_', '/').replace('GL+Geo', 'GL-Geo'),
    ])
    // HTTP takes away what is blank at the end.
    return authorization(mangled.trimEnd() === whole ? `${whole}A` : mangled)
  },
  doubled: (draw, door, loot) => {
    const good = genuine(door, loot.nowS)
    const bad = draw.of([
      'GL-Geo x:y',
      'Bearer x',
      by(door.signer, signed(HEADER, claimsOf(door.scope, loot.nowS), 'x')).headers[1] ?? '',
      ' ',
    ])
    return draw.of<Forged>([
      { headers: ['authorization', bad, 'authorization', good] },
      { headers: ['authorization', bad, 'Authorization', good, 'AUTHORIZATION', good] },
      authorization(`${good}, ${good}`),
      authorization(`${good} ${good}`),
      authorization(`${good},${bad}`),
      authorization(`${bad}, ${good}`),
      authorization(`GL-Geo ${good}`),
      {
        headers: [
          draw.of(['x-authorization', 'proxy-authorization', 'authorization2', 'x-forwarded-authorization']),
          good,
        ],
      },
      { headers: ['cookie', `authorization=${encodeURIComponent(good)}`] },
      { headers: [], path: `${door.path}?authorization=${encodeURIComponent(good)}` },
      { headers: [] },
    ])
  },
  huge: (draw, door, { nowS }) => {
    const padding = letters(draw, 1).repeat(draw.of([1000, 7000, 14_000, 17_000, 60_000]))
    const { signer, scope } = door
    const claims = { ...claimsOf(scope, nowS), padding: padding.slice(0, 7000) }
    return draw.of([
      () => authorization(`${genuine(door, nowS)}${padding}`),
      () => authorization(`GL-Geo ${padding}:${genuine(door, nowS).split(':')[1]}`),
      () => by(signer, signed(HEADER, claims, padding)),
      () => by(signer, `${padding}.${padding}.${letters(draw, 42)}A`),
    ])()
  },
  'unknown access key': (draw, { signer, scope }, { nowS }) => {
    const { accessKey, secret } = signer
    const unknown = draw.of([
      letters(draw, 20),
      accessKey.slice(1),
      `${accessKey}0`,
      '__proto__',
      'constructor',
      'null',
      '*',
      '%',
      accessKey.split('').reverse().join(''),
    ])
    return by({ accessKey: unknown }, signed(HEADER, claimsOf(scope, nowS), draw.of([secret, letters(draw, 40)])))
  },
  'another scheme': (draw, door, { nowS }) => {
    const scheme = draw.of([
      'Bearer',
      'Basic',
      'gl-geo',
      'GL-GEO',
      'GL-Geo\t',
      'GL-Geo ',
      'GLGeo',
      'Token',
      '',
      'GL-Geo:',
      'Digest',
    ])
    return authorization(genuine(door, nowS).replace('GL-Geo', scheme))
  },
}

/** A request that no door may open to, of every kind and for every door in turns. */
export function forge(draw: Draw, position: number, loot: ForgersLoot): ForgedRequest {
  const kinds = Object.entries(KINDS)
  const [kind, make] = kinds[position % kinds.length] as [string, Kind]
  const door = loot.doors[Math.floor(position / kinds.length) % loot.doors.length] as Door
  const { name, at, method, path, body } = door
  return { kind, door: name, at, method, path, body, ...make(draw, door, loot) }
}
