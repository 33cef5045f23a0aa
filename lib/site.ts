import type { Knex } from 'knex'
import type { Clock } from './clock.ts'
import { GeoError } from './errors.ts'
import { decryptSecret } from './secret.ts'
import type { SiteKey } from './site-key.ts'
import { listSites, type Site } from './site-table.ts'

export type Role = 'primary' | 'secondary' | 'unknown'

const REFRESH_EVERY_MS = 5000

/** Who am I and who are the others: a copy of geo_nodes that is at most five seconds old. */
export class SiteDirectory {
  readonly siteName: string
  readonly #db: Knex
  readonly #key: Buffer
  readonly #clock: Clock
  readonly #secrets = new WeakMap<SiteKey, string>()
  #sites: readonly Site[] = []
  #loadedAtMs = Number.NEGATIVE_INFINITY
  #refreshing: Promise<void> | null = null

  constructor(siteName: string, db: Knex, encryptionKey: Buffer, clock: Clock) {
    this.siteName = siteName
    this.#db = db
    this.#key = encryptionKey
    this.#clock = clock
  }

  /** Reads the table again now. */
  async refresh(): Promise<void> {
    const startedAtMs = this.#clock.monotonicMs()
    this.#sites = Object.freeze(await listSites(this.#db))
    this.#loadedAtMs = startedAtMs
  }

  /** Reads the table again where the copy is older than five seconds. */
  async ensureFresh(): Promise<void> {
    if (this.#clock.monotonicMs() - this.#loadedAtMs < REFRESH_EVERY_MS) return
    // Many requests at once ask the table once.
    this.#refreshing ??= this.refresh().finally(() => {
      this.#refreshing = null
    })
    await this.#refreshing
  }

  get me(): Site | null {
    return this.byName(this.siteName)
  }

  get role(): Role {
    if (!this.me) return 'unknown'
    return this.me.primary ? 'primary' : 'secondary'
  }

  /** All sites, the primary first, then by name. */
  get all(): readonly Site[] {
    return this.#sites
  }

  get primary(): Site | null {
    return this.#sites.find((site) => site.primary) ?? null
  }

  /** The names of all enabled sites. */
  get enabledNames(): readonly string[] {
    return this.#sites.filter((site) => site.enabled).map((site) => site.name)
  }

  /** Names are the same whatever their case, as in geo_nodes. */
  byName(name: string): Site | null {
    return this.#sites.find((site) => site.name.toLowerCase() === name.toLowerCase()) ?? null
  }

  /** Whose key it is, if it is good now. */
  byAccessKey(accessKey: string): { readonly site: Site; readonly key: SiteKey } | null {
    for (const site of this.#sites) {
      const key = this.goodKeysOf(site).find((good) => good.accessKey === accessKey)
      if (key) return { site, key }
    }
    return null
  }

  /** What others take a signature of a site with now. */
  goodKeysOf(site: Site): readonly SiteKey[] {
    const { nextKey } = site
    if (!nextKey) return [site]
    return this.#clock.nowMs() < nextKey.oldUntilMs ? [site, nextKey] : [nextKey]
  }

  /** What a site signs with now. */
  signingKeyOf(site: Site): SiteKey {
    const { nextKey } = site
    return nextKey && this.#clock.nowMs() >= nextKey.fromMs ? nextKey : site
  }

  /** @throws GeoError `SECRET_UNDECRYPTABLE` */
  secretOf(key: SiteKey): string {
    // Once for each key as it was read, not for each request.
    const known = this.#secrets.get(key) ?? decryptSecret(key.secret, this.#key, key.accessKey)
    this.#secrets.set(key, known)
    return known
  }

  /** @throws GeoError `SITE_UNKNOWN` */
  requireMe(): Site {
    const { me } = this
    if (!me) throw new GeoError('SITE_UNKNOWN', `No site is named "${this.siteName}" in geo_nodes`)
    return me
  }
}
