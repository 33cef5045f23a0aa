import type { Api } from './api.ts'
import type { SiteProgress, TypeProgress } from './progress.ts'

/** `GeoProgress`: what moves in the status of a site, for people who watch. */
export function defineProgressType({ builder }: Api) {
  const ofType = builder.objectRef<TypeProgress>('GeoTypeProgress').implement({
    description: 'How far a site is with one type; null is what its role has none of',
    fields: (t) => {
      const int = (name: (keyof TypeProgress & `${string}Count`) | 'count', description: string) =>
        t.exposeInt(name, { nullable: true, description })
      const float = (
        name: 'blobsPerSecond' | 'bytesPerSecond' | 'oldestUnsyncedSeconds' | 'remainingSeconds',
        description: string,
      ) => t.exposeFloat(name, { nullable: true, description })
      return {
        name: t.exposeString('name', { nullable: false, description: 'The name of the type' }),
        count: int('count', 'Primary: blobs with a file. Secondary: rows of the registry'),
        checksummedCount: int('checksummedCount', 'Primary: blobs with a checksum'),
        checksumFailedCount: int('checksumFailedCount', 'Primary: blobs whose checksum failed'),
        registryCount: int('registryCount', 'Secondary: blobs that are to be here'),
        syncedCount: int('syncedCount', 'Secondary: blobs whose file is here'),
        failedCount: int('failedCount', 'Secondary: blobs whose last attempt to fetch failed'),
        verificationTotalCount: int('verificationTotalCount', 'Secondary: blobs that can be verified'),
        verifiedCount: int('verifiedCount', 'Secondary: blobs whose bytes have the checksum of the primary'),
        verificationFailedCount: int('verificationFailedCount', 'Secondary: blobs whose last verification failed'),
        inFlightCount: int('inFlightCount', 'Secondary: blobs that are being fetched'),
        pendingBytes: t.field({
          type: 'BigInt',
          nullable: true,
          description: 'Secondary: bytes that are still to come, as far as known',
          resolve: ({ pendingBytes }) => pendingBytes,
        }),
        blobsPerSecond: float('blobsPerSecond', 'Blobs a second in the last minute'),
        bytesPerSecond: float('bytesPerSecond', 'Secondary: bytes a second in the last minute'),
        oldestUnsyncedSeconds: float('oldestUnsyncedSeconds', 'Secondary: how long the oldest blob has been waiting'),
        remainingSeconds: float('remainingSeconds', 'Secondary: how long the rest takes at this pace'),
      }
    },
  })
  return builder.objectRef<SiteProgress>('GeoProgress').implement({
    description: 'What a site gathered of itself last',
    fields: (t) => ({
      health: t.exposeString('health', { nullable: true, description: 'Healthy, or what is wrong in words' }),
      healthy: t.exposeBoolean('healthy', { nullable: false, description: 'Whether nothing is wrong' }),
      updatedAt: t.field({
        type: 'Time',
        nullable: true,
        description: 'When all this was gathered',
        resolve: ({ updatedAt }) => updatedAt,
      }),
      types: t.field({
        type: [ofType],
        nullable: false,
        description: 'By type, those that are switched on',
        resolve: ({ types }) => [...types],
      }),
    }),
  })
}

export type ProgressTypeRef = ReturnType<typeof defineProgressType>
