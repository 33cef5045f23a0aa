type Status = Readonly<Record<string, unknown>>

const progressOf = (type: unknown) => (good: Status) => ({ ...good, progress: { widgets: type, gadgets: type } })
const inProgress = (fields: Status) => (good: Status) => {
  const progress = good['progress'] as Readonly<Record<string, Status>>
  return { ...good, progress: { ...progress, widgets: { ...progress['widgets'], ...fields } } }
}
const fields = (some: Status) => (good: Status) => ({ ...good, ...some })

/** What a site may tell of itself and no version of ours does, made of what it tells else. */
export const HOSTILE_STATUSES: readonly (readonly [title: string, of: (good: Status) => Status])[] = [
  ['a progress that is a text', fields({ progress: 'x' })],
  ['a progress that is a list', fields({ progress: [[]] })],
  ['a progress of null', fields({ progress: null })],
  ['types of null', progressOf(null)],
  ['types that are numbers', progressOf(7)],
  ['types without a field', progressOf({})],
  ['rates that are null', inProgress({ blobs_per_second: null, bytes_per_second: null })],
  ['rates that are texts', inProgress({ blobs_per_second: 'x', bytes_per_second: { last_minute: 'x' } })],
  ['rates that are lists', inProgress({ blobs_per_second: { last_minute: [1], last_5_minutes: {} } })],
  ['times that are objects', inProgress({ oldest_unsynced_seconds: {}, remaining_seconds: { valueOf: 'x' } })],
  ['times below nothing', inProgress({ oldest_unsynced_seconds: -1e308, remaining_seconds: -1 })],
  ['amounts that are texts', inProgress({ pending_bytes: 'x', synced_bytes: '1', in_flight_count: 'x' })],
  ['amounts beyond all numbers', inProgress({ pending_bytes: 1e308, in_flight_count: 1e308 })],
  ['a lag without buckets', inProgress({ lag_seconds: { p50: 1 } })],
  ['a lag whose buckets are no list', inProgress({ lag_seconds: { buckets: 'x', p50: null, p99: null } })],
  ['counts that are objects', fields({ widgets_count: {}, widgets_registry_count: {}, widgets_synced_count: [] })],
  ['counts beyond 32 bits', fields({ widgets_count: 2 ** 40, widgets_synced_count: 2 ** 40 })],
  ['counts that are no whole ones', fields({ widgets_count: 1.5, widgets_registry_count: -0.5 })],
  ['moments beyond all years', fields({ last_event_timestamp: 1e300, cursor_last_event_timestamp: 9e15 })],
  ['moments before all years', fields({ last_event_timestamp: -1e300, cursor_last_event_timestamp: -9e15 })],
  ['moments that are texts', fields({ last_event_timestamp: 'x', cursor_last_event_timestamp: {} })],
  ['a lag of the database that is a text', fields({ db_replication_lag_seconds: 'x' })],
  ['a skew beyond all numbers', fields({ clock_skew_seconds: 1e308 })],
  ['outdated fields that have no text', fields({ outdated_fields: [{ toString: 'x' }, null, 7] })],
  ['stores of null', fields({ storage_shards: [null, 7, { name: {} }, { name: 'x' }] })],
  ['words that are none', fields({ version: {}, revision: [], health: { toString: 'x' }, healthy: false })],
  ['an event that has no text', fields({ cursor_last_event_id: { toString: 'x' } })],
]
