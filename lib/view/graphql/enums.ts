import type { EnumRef } from '@pothos/core'
import type { BulkRunState } from '../../bulk/bulk-run.ts'
import type { BulkAction } from '../../bulk/request.ts'
import { SYNC, type SyncState } from '../../registry/sync-state.ts'
import { VERIFICATION, type VerificationState } from '../../verification/verification-state.ts'
import { REGISTRY_SORTS, type RegistrySort } from '../registries/finder.ts'
import type { GeoSchemaBuilder } from './builder.ts'

/** The enums of GB.H.3, from the maps of the state machines. */
export interface Enums {
  readonly registryState: EnumRef<never, SyncState>
  readonly replicationState: EnumRef<never, SyncState>
  readonly verificationState: EnumRef<never, VerificationState>
  readonly sort: EnumRef<never, RegistrySort>
  readonly action: EnumRef<never, BulkAction>
  readonly bulkAction: EnumRef<never, BulkAction>
  readonly runState: EnumRef<never, BulkRunState>
}

const BULK_RUN_STATES: readonly BulkRunState[] = ['waiting', 'running', 'finished', 'cancelled']

export function defineEnums(builder: GeoSchemaBuilder): Enums {
  const upperCase = <Value extends string>(name: string, description: string, values: readonly Value[]) =>
    enumOf(
      name,
      description,
      values.map((value) => [value.toUpperCase(), value]),
    )
  const enumOf = <Value extends string>(name: string, description: string, values: (readonly [string, Value])[]) =>
    builder.enumType(name, {
      description,
      values: Object.fromEntries(values.map(([shown, value]) => [shown, { value }])),
    }) as unknown as EnumRef<never, Value>
  return Object.freeze({
    registryState: upperCase<SyncState>('RegistryState', 'State of a Geo registry', SYNC.states),
    replicationState: upperCase<SyncState>('ReplicationStateEnum', 'State to filter replications by', SYNC.states),
    verificationState: upperCase<VerificationState>(
      'VerificationStateEnum',
      'State of a verification, also to filter by',
      VERIFICATION.states,
    ),
    sort: enumOf<RegistrySort>(
      'GeoRegistrySort',
      'Order of registries. Moments that have not come are last in ascending order',
      REGISTRY_SORTS.map((sort) => [sort, sort]),
    ),
    action: enumOf<BulkAction>('GeoRegistryAction', 'What is done to one registry', [
      ['REVERIFY', 'reverify'],
      ['RESYNC', 'resync'],
    ]),
    bulkAction: enumOf<BulkAction>('GeoRegistriesBulkAction', 'What is done to many registries', [
      ['REVERIFY_ALL', 'reverify'],
      ['RESYNC_ALL', 'resync'],
    ]),
    runState: upperCase<BulkRunState>('GeoBulkRunState', 'State of a bulk run', BULK_RUN_STATES),
  })
}
