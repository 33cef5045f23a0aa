import { createHash, randomBytes, randomUUID, webcrypto } from 'node:crypto'
import type { Request } from 'express'
import { errors as joseErrors, jwtVerify, SignJWT } from 'jose'
import { z } from 'zod'
import type { Ability } from '../ability.ts'
import type { AllowedIps } from '../allowed-ips.ts'
import type { Clock } from '../clock.ts'
import { answering } from '../databases.ts'
import { isCredible } from '../epoch.ts'
import { GeoError } from '../errors.ts'
import type { SiteDirectory } from '../site.ts'
import type { SiteKey } from '../site-key.ts'
import type { Site } from '../site-table.ts'

/**
 * What a token is good for: exactly one blob, exactly one list of them, the site's own word about itself, what it answers to
 * another's about the epoch, or one GraphQL operation or one question of the admin pages that the primary passes on for somebody with
 * these abilities.
 */
export type TokenScope =
  | { readonly replicable_name: string; readonly replicable_id: string }
  | { readonly replicable_name: string; readonly replicable_ids_sha256: string }
  | { readonly scope: 'geo_api' }
  | { readonly word_sha256: string }
  | ({ readonly graphql_sha256: string } & ForSomebody)
  | ({ readonly details_sha256: string } & ForSomebody)

interface ForSomebody {
  readonly authenticating_user_id: string | null
  /** From where that somebody asks. */
  readonly authenticating_ip?: string | null | undefined
  readonly abilities: readonly Ability[]
}

const SCHEME = 'GL-Geo'
// GB.E.1
const LIFE_S = 60
const NOT_BEFORE_S = 5
const LEEWAY_S = 60

export function digestOfIds(ids: readonly string[]): string {
  return createHash('sha256').update(ids.join('\n')).digest('hex')
}

const keys = new WeakMap<object, { readonly secret: string; readonly key: Promise<webcrypto.CryptoKey> }>()

/** Made once for a key as it was read: making one takes as long as signing with it. */
function keyOf(of: object, secret: string): Promise<webcrypto.CryptoKey> {
  const known = keys.get(of)
  if (known?.secret === secret) return known.key
  const algorithm = { name: 'HMAC', hash: 'SHA-256' }
  const key = webcrypto.subtle.importKey('raw', Buffer.from(secret), algorithm, false, ['sign', 'verify'])
  keys.set(of, { secret, key })
  return key
}

/**
 * The Authorization header with which this site asks for what the scope names, for the next 60 s.
 * @throws GeoError `SITE_UNKNOWN`, `SECRET_UNDECRYPTABLE`
 */
export async function signAsMe(sites: SiteDirectory, scope: TokenScope, clock: Clock): Promise<string> {
  // Looked up each time: in the hours that a transfer takes the key may change.
  const key = sites.signingKeyOf(sites.requireMe())
  return signRequest(key, sites.secretOf(key), scope, clock, sites.epoch)
}

/** As signAsMe, with a key and its secret, in the name of an epoch. */
export async function signRequest(
  key: SiteKey,
  secret: string,
  scope: TokenScope,
  clock: Clock,
  epoch = 0,
): Promise<string> {
  const nowS = Math.floor(clock.nowMs() / 1000)
  const token = await new SignJWT({ data: JSON.stringify(scope), ...(epoch > 0 && { epoch }) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setJti(randomUUID())
    .setIssuedAt(nowS)
    .setNotBefore(nowS - NOT_BEFORE_S)
    .setExpirationTime(nowS + LIFE_S)
    .sign(await keyOf(key, secret))
  return `${SCHEME} ${key.accessKey}:${token}`
}

const forSomebody = {
  authenticating_user_id: z.string().nullable(),
  authenticating_ip: z.string().nullish(),
  abilities: z.array(z.enum(['read_geo', 'admin_geo'])),
}

// Rails writes keys as numbers. Anything else that could be made a text, such as a list of one, is none.
const recordId = z.union([z.string(), z.int().transform(String)])

const scopeShape = z.union([
  z.strictObject({ replicable_name: z.string(), replicable_id: recordId }),
  z.strictObject({ replicable_name: z.string(), replicable_ids_sha256: z.string() }),
  z.strictObject({ scope: z.literal('geo_api') }),
  z.strictObject({ word_sha256: z.string() }),
  z.strictObject({ graphql_sha256: z.string(), ...forSomebody }),
  z.strictObject({ details_sha256: z.string(), ...forSomebody }),
])

/**
 * Three parts, the last of which is a signature of HS256 in its one spelling: a lenient decoder takes others for it, and there are
 * four last letters to each signature.
 */
const HEADER = /^GL-Geo ([^\s:]+):([\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048])$/

/** As whom an unknown site is verified: it takes the same time, and so does not tell which access keys there are. */
const NOBODY = Object.freeze({})
const NOBODYS_SECRET = randomBytes(30).toString('base64url')

/** Whether a request claims to come from a site, rightly or not. */
export function isSigned(header: string | undefined): boolean {
  return header !== undefined && /^GL-Geo\b/i.test(header)
}

/** What a door that is open to sites alone asks. */
export interface DoorContext {
  readonly sites: SiteDirectory
  readonly allowedIps: AllowedIps
  readonly clock: Clock
}

/** Who signed something, for what, and which epoch that site knows of. */
export interface Signed {
  readonly site: Site
  readonly scope: TokenScope
  readonly epoch: number
}

/**
 * Who signed the request, and for what. The signature is checked before anything is said about the site, and the address before
 * that. `disabledToo`: also a site that is disabled. `ofAnyEpoch`: also one that knows of another epoch than this site; where that
 * is a later one, this site has heard of it in any case.
 * @throws GeoError `IP_NOT_ALLOWED`, `UNAUTHORIZED`, `TOKEN_EXPIRED`, `SITE_DISABLED`, `STALE_EPOCH`, `DATABASE_UNAVAILABLE`
 */
export async function authenticate(
  request: Pick<Request, 'ip' | 'get'>,
  { sites, allowedIps, clock }: DoorContext,
  { disabledToo = false, ofAnyEpoch = false }: { disabledToo?: boolean; ofAnyEpoch?: boolean } = {},
): Promise<Signed> {
  if (!allowedIps.includes(request.ip))
    throw new GeoError('IP_NOT_ALLOWED', `401 Unauthorized: no site may ask from the address ${request.ip}`)
  const signed = await signedBy(request.get('authorization'), sites, clock)
  const { site, epoch } = signed
  await answering(() => sites.hear(epoch))
  if (!ofAnyEpoch) {
    sites.requireUnfenced()
    if (epoch < sites.epoch) {
      const message = `The site "${site.name}" knows of epoch ${epoch}, and this one is of epoch ${sites.epoch}`
      throw new GeoError('STALE_EPOCH', message)
    }
  }
  if (!site.enabled && !disabledToo) throw new GeoError('SITE_DISABLED', `The site "${site.name}" is disabled`)
  return signed
}

/**
 * Who signed what stands in an Authorization header, or in the same form in an answer.
 * @throws GeoError `UNAUTHORIZED`, `TOKEN_EXPIRED`
 */
export async function signedBy(header: string | undefined, sites: SiteDirectory, clock: Clock): Promise<Signed> {
  const [, accessKey, token] = HEADER.exec(header ?? '') ?? []
  if (accessKey === undefined || token === undefined) throw new GeoError('UNAUTHORIZED', '401 Unauthorized')
  const known = sites.byAccessKey(accessKey)
  const said = await verify(token, known?.key ?? NOBODY, known ? sites.secretOf(known.key) : NOBODYS_SECRET, clock)
  if (!known) throw new GeoError('UNAUTHORIZED', '401 Unauthorized')
  if (!isCredible(said.epoch, sites.epoch)) {
    const message = `401 Unauthorized: the site "${known.site.name}" claims to know of epoch ${said.epoch}`
    throw new GeoError('UNAUTHORIZED', message)
  }
  return { site: known.site, ...said }
}

const epochShape = z
  .int()
  .min(0)
  .max(2 ** 31 - 1)
  // Of a site that knows of no promotion, as one of an earlier version.
  .default(0)

// The signature is compared by WebCrypto, in the same time wherever the first wrong byte is.
async function verify(token: string, of: object, secret: string, clock: Clock): Promise<Omit<Signed, 'site'>> {
  try {
    const { payload } = await jwtVerify(token, await keyOf(of, secret), {
      algorithms: ['HS256'],
      clockTolerance: LEEWAY_S,
      currentDate: new Date(clock.nowMs()),
      requiredClaims: ['exp', 'iat', 'nbf', 'data'],
      maxTokenAge: LIFE_S,
    })
    return { scope: scopeShape.parse(JSON.parse(String(payload['data']))), epoch: epochShape.parse(payload['epoch']) }
  } catch (reason) {
    const outsideTime =
      reason instanceof joseErrors.JWTExpired ||
      (reason instanceof joseErrors.JWTClaimValidationFailed && ['nbf', 'iat', 'exp'].includes(reason.claim))
    if (outsideTime) {
      const message = `Signature not within leeway of ${LEEWAY_S} seconds. Check your system clocks!`
      throw new GeoError('TOKEN_EXPIRED', message, { cause: reason })
    }
    throw new GeoError('UNAUTHORIZED', '401 Unauthorized', { cause: reason })
  }
}
