import type { Knex } from 'knex'
import type { Clock } from './clock.ts'
import { fenceSite, type Writer } from './epoch.ts'
import { GeoError } from './errors.ts'
import { openSecret } from './secret.ts'
import type { SiteKey } from './site-key.ts'
import { listSites, type Site } from './site-table.ts'

export type Role = 'primary' | 'secondary' | 'unknown'

const REFRESH_EVERY_MS = 5000

/** Who am I and who are the others: a copy of geo_nodes that is at most five seconds old. */
export class SiteDirectory {
  readonly siteName: string
  readonly #db: Knex
  readonly #keys: readonly Buffer[]
  readonly #clock: Clock
  readonly #secrets = new WeakMap<SiteKey, string>()
  #sites: readonly Site[] = []
  #loadedAtMs = Number.NEGATIVE_INFINITY
  #refreshing: Promise<void> | null = null
  #heardEpoch = 0

  constructor(siteName: string, db: Knex, encryptionKeys: readonly Buffer[], clock: Clock) {
    this.siteName = siteName
    this.#db = db
    this.#keys = encryptionKeys
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

  /** Of all that is known here: it grows by one with each promotion. */
  get epoch(): number {
    return this.#sites.reduce((greatest, { epoch }) => Math.max(greatest, epoch), 0)
  }

  /** As whom this site writes events. */
  get writer(): Writer {
    return { siteName: this.siteName, epoch: this.epoch }
  }

  /** The later epoch that this site has heard of while it takes itself for the primary; null where it has not. */
  get fencedBy(): number | null {
    const { me, epoch } = this
    if (!me?.primary) return null
    const heard = Math.max(me.fencedByEpoch ?? 0, this.#heardEpoch)
    return heard > epoch ? heard : null
  }

  /**
   * What another site has signed: that it knows of this epoch. Where that is later than what the primary here knows, another one
   * has been promoted, and this one is fenced: at once in this process, and by its database in all others.
   */
  async hear(epoch: number): Promise<void> {
    const { me } = this
    if (!me?.primary || epoch <= this.epoch) return
    // Also where the database cannot be written: then this process at least knows.
    this.#heardEpoch = Math.max(this.#heardEpoch, epoch)
    if ((me.fencedByEpoch ?? 0) >= epoch) return
    await fenceSite(this.#db, me.name, epoch)
    await this.refresh()
  }

  /** `STALE_EPOCH` where another site has become the primary meanwhile. */
  get staleness(): GeoError | null {
    const { fencedBy, epoch, siteName } = this
    if (fencedBy === null) return null
    const message = `The site "${siteName}" is of epoch ${epoch}, and another one has become the primary in epoch ${fencedBy}`
    return new GeoError('STALE_EPOCH', message)
  }

  /** @throws GeoError `STALE_EPOCH` */
  requireUnfenced(): void {
    const { staleness } = this
    if (staleness) throw staleness
  }

  /** @throws GeoError `STALE_EPOCH`, `NOT_PRIMARY` */
  requirePrimary(): void {
    this.requireUnfenced()
    if (this.role !== 'primary') throw new GeoError('NOT_PRIMARY', `"${this.siteName}" is not the primary site`)
  }

  /** @throws GeoError `STALE_EPOCH`, `NOT_SECONDARY` */
  requireSecondary(): void {
    this.requireUnfenced()
    if (this.role !== 'secondary') throw new GeoError('NOT_SECONDARY', `"${this.siteName}" is not a secondary site`)
  }

  get me(): Site | null {
    return this.byName(this.siteName)
  }

  /** One that is fenced has no role: it does no work, and nobody is told that it is the primary. */
  get role(): Role {
    if (!this.me || this.fencedBy !== null) return 'unknown'
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
    const known = this.#secrets.get(key) ?? openSecret(key.secret, this.#keys, key.accessKey).secret
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
