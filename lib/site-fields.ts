import { z } from 'zod'
import { GeoError } from './errors.ts'
import { parseRedirectHost } from './redirect-hosts.ts'

/** What may be said of a site, and its bounds. The names of the columns are in site-table.ts. */

/** One field of a site that cannot be as it was given; `base`: no single one. */
export interface SiteProblem {
  readonly field: string
  readonly text: string
}

/** `INVALID_SITE` or `SITE_EXISTS`, field by field. */
export class InvalidSiteError extends GeoError {
  readonly problems: readonly SiteProblem[]

  constructor(problems: readonly SiteProblem[], { code = 'INVALID_SITE', message, cause }: InvalidSiteDetails = {}) {
    super(code, message ?? problems.map(sentence).join('; '), { cause })
    this.problems = Object.freeze([...problems])
  }
}

interface InvalidSiteDetails {
  readonly code?: 'INVALID_SITE' | 'SITE_EXISTS'
  /** Default: the problems. */
  readonly message?: string
  readonly cause?: unknown
}

function sentence({ field, text }: SiteProblem): string {
  return field === 'base' ? text : `${field}: ${text}`
}

// PostgreSQL takes any character but this one.
const withoutNul = (text: string) => !text.includes('\0')

const NAME_LENGTH = 255
const name = z
  .string("can't be blank")
  .trim()
  .min(1, "can't be blank")
  .max(NAME_LENGTH, `is too long (maximum is ${NAME_LENGTH} characters)`)
  .refine(withoutNul, 'is invalid')

const webUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .refine(withoutNul, 'must be an http or https URL')
  .transform((url) => (url.endsWith('/') ? url : `${url}/`))

const MOST_HOSTS = 100
const redirectHost = z.string().transform((entry, { addIssue }) => {
  const host = parseRedirectHost(entry)
  if (host !== null) return host
  addIssue({ code: 'custom', message: 'must be a host, with a port where it is not the usual one' })
  return z.NEVER
})

const LOWEST_RATE = 1024
const GREATEST_INTEGER = 2 ** 31 - 1
const integerFrom = (least: number) =>
  z
    .int('is not a number')
    .min(least, `must be greater than or equal to ${least}`)
    .max(GREATEST_INTEGER, `must be less than or equal to ${GREATEST_INTEGER}`)
const selected = z.string().refine(withoutNul, 'is invalid')
const selectionShape = z.strictObject({
  type: z.string().trim().min(1, "can't be blank").max(NAME_LENGTH).refine(withoutNul, 'is invalid'),
  namespaceIds: z.array(selected).readonly().default([]),
  shards: z.array(selected).readonly().default([]),
})

const settings = {
  filesMaxCapacity: integerFrom(0),
  reposMaxCapacity: integerFrom(0),
  verificationMaxCapacity: integerFrom(0),
  containerRepositoriesMaxCapacity: integerFrom(0),
  minimumReverificationIntervalDays: integerFrom(1),
  syncObjectStorage: z.boolean(),
  transferBytesPerSecond: z.int().min(LOWEST_RATE).nullable(),
  copiesReverificationIntervalDays: integerFrom(1).nullable(),
  selectiveSync: selectionShape.nullable(),
  redirectHosts: z.array(redirectHost).max(MOST_HOSTS, `are too many (maximum is ${MOST_HOSTS})`).readonly(),
}

export const newSiteShape = z.strictObject({
  name,
  url: webUrl,
  internalUrl: webUrl.nullable().optional(),
  primary: z.boolean().default(false),
  ...z.strictObject({ enabled: z.boolean(), ...settings }).partial().shape,
})

/** `name` and `url` are required; `internalUrl` is where other sites reach this one; the rest as in SiteChange. */
export type NewSite = z.input<typeof newSiteShape>

export const siteChangeShape = z
  .strictObject({ name, enabled: z.boolean(), url: webUrl, internalUrl: webUrl.nullable(), ...settings })
  .partial()

/**
 * What may be changed of a site while it runs; its processes follow within five seconds. Rates in bytes a second, at least
 * 1,024; null is unlimited. `redirectHosts`: where it may send other sites for a blob beside its own host, such as
 * `files.example` or `10.0.0.5:9000`. `selectiveSync` null: the site holds copies of all rows. With another `name` the processes of the
 * site have to start again with that `siteName`. Capacities for repositories and `syncObjectStorage` are kept for clients that
 * set them; nothing reads them.
 */
export type SiteChange = z.input<typeof siteChangeShape>

/** @throws InvalidSiteError `INVALID_SITE`, naming every field that is wrong */
export function parseSite<Shape extends z.ZodType>(shape: Shape, input: unknown): z.output<Shape> {
  const result = shape.safeParse(input)
  if (result.success) return result.data
  throw new InvalidSiteError(
    result.error.issues.map(({ path, message }) => ({ field: path.join('.') || 'base', text: message })),
  )
}
