import type { Replicable } from '../../blob/replicable.ts'
import type { RegistryEntry } from '../../registry/registry-page.ts'
import { globalIdOf } from '../registries/global-id.ts'
import type { Api } from './api.ts'

/** `WidgetRegistry` with the common fields of GB.H.4 and `widgetId`. */
export function defineRegistryType({ builder, enums, readerOf, safely }: Api, replicable: Replicable) {
  const { names } = replicable
  const title = names.name.replaceAll('_', ' ')
  return builder.objectRef<RegistryEntry>(names.registryClass).implement({
    description: `Represents the Geo replication and verification state of a ${title}`,
    fields: (t) => {
      const time = (of: (entry: RegistryEntry) => string | null, description: string) =>
        t.field({ type: 'Time', nullable: true, description, resolve: of })
      return {
        id: t.id({
          nullable: false,
          description: `Global id of the ${names.registryClass}`,
          resolve: ({ registryId }) => globalIdOf(replicable, registryId),
        }),
        state: t.expose('state', {
          type: enums.registryState,
          nullable: true,
          description: `Sync state of the ${names.registryClass}`,
        }),
        retryCount: t.exposeInt('retryCount', {
          nullable: true,
          description: 'Number of consecutive failed sync attempts',
        }),
        lastSyncFailure: t.exposeString('lastSyncFailure', {
          nullable: true,
          description: 'Error message of the last sync that failed',
        }),
        retryAt: time(({ retryAt }) => retryAt, 'Moment after which the sync is tried again'),
        lastSyncedAt: time(({ lastSyncedAt }) => lastSyncedAt, 'Moment of the last sync attempt'),
        createdAt: time(({ createdAt }) => createdAt, 'Moment when the registry came'),
        verifiedAt: time(({ verifiedAt }) => verifiedAt, 'Moment of the last verification that ended'),
        verificationState: t.expose('verificationState', {
          type: enums.verificationState,
          nullable: true,
          description: 'State of the verification',
        }),
        verificationStartedAt: time(
          ({ verificationStartedAt }) => verificationStartedAt,
          'Moment when the last verification began',
        ),
        verificationRetryAt: time(
          ({ verificationRetryAt }) => verificationRetryAt,
          'Moment after which the verification is tried again',
        ),
        verificationRetryCount: t.exposeInt('verificationRetryCount', {
          nullable: true,
          description: 'Number of consecutive failed verifications',
        }),
        verificationFailure: t.exposeString('verificationFailure', {
          nullable: true,
          description: 'Error message of the last verification that failed',
        }),
        verificationChecksum: t.exposeString('verificationChecksum', {
          nullable: true,
          description: 'Checksum of the copy here, as hex digits',
        }),
        verificationChecksumMismatched: t.exposeString('verificationChecksumMismatched', {
          nullable: true,
          description: 'The checksum of the primary that the copy did not have',
        }),
        checksumMismatch: t.exposeBoolean('checksumMismatch', {
          nullable: true,
          description: 'Whether the copy was found to have another checksum than the primary',
        }),
        primaryChecksum: t.string({
          nullable: true,
          description: 'What the primary has recorded, and copies are judged by, as hex digits',
          resolve: ({ recordId }, _args, context) =>
            safely(() => readerOf(context).primaryChecksum(replicable, recordId)),
        }),
        errorCode: t.exposeString('errorCode', {
          nullable: true,
          description: 'The stable code of the failure that is told: docs/errors.md',
        }),
        bytes: t.field({
          type: 'BigInt',
          nullable: true,
          description: 'Size of the copy, as far as it is known',
          resolve: ({ bytes }) => (bytes === null ? null : Number(bytes)),
        }),
        modelRecordId: t.id({
          nullable: true,
          description: `Key of the ${title}`,
          resolve: ({ recordId }) => recordId,
        }),
        missingOnPrimary: t.boolean({
          nullable: true,
          deprecationReason: 'Always null; see errorCode',
          resolve: () => null,
        }),
        forceToRedownload: t.boolean({
          nullable: true,
          deprecationReason: 'Always null',
          resolve: () => null,
        }),
        dataManagementDetailsPath: t.string({
          nullable: true,
          description: 'Always null: the host has no such page',
          resolve: () => null,
        }),
        [names.recordIdField]: t.id({
          nullable: false,
          description: `Key of the ${title}`,
          resolve: ({ recordId }) => recordId,
        }),
      }
    },
  })
}

export type RegistryTypeRef = ReturnType<typeof defineRegistryType>
