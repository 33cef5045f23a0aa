import DataLoader from 'dataloader'
import type { Knex } from 'knex'
import type { Ability } from '../../ability.ts'
import { loadPrimaryChecksums } from '../../blob/primary-checksum.ts'
import type { Replicable } from '../../blob/replicable.ts'
import type { Asker } from '../asker.ts'

/** Who asks, for as long as one operation lasts. */
export interface Reader {
  /** Asked of the host once for each ability. */
  may(ability: Ability): Promise<boolean>
  /** Who it is, in the words of the host, and from where, for the record. */
  asker(): Promise<Asker>
  /** What the primary has recorded of a blob, as hex digits. All that one page asks for is read at once. */
  primaryChecksum(replicable: Replicable, recordId: string): Promise<string | null>
}

export interface ReaderSources {
  readonly main: Knex
  may(ability: Ability): boolean | Promise<boolean>
  asker(): Asker | Promise<Asker>
}

const MOST_AT_ONCE = 1000

export function readerOf({ main, may, asker }: ReaderSources): Reader {
  const answers = new Map<Ability, Promise<boolean>>()
  const loaders = new Map<string, DataLoader<string, string | null>>()
  return Object.freeze({
    may(ability: Ability) {
      const answer = answers.get(ability) ?? Promise.resolve(may(ability))
      answers.set(ability, answer)
      return answer
    },
    asker: async () => asker(),
    primaryChecksum(replicable: Replicable, recordId: string) {
      const loader = loaders.get(replicable.name) ?? checksumLoader(main, replicable)
      loaders.set(replicable.name, loader)
      return loader.load(recordId)
    },
  })
}

function checksumLoader(main: Knex, replicable: Replicable): DataLoader<string, string | null> {
  return new DataLoader(
    async (ids) => {
      const found = await loadPrimaryChecksums(main, replicable, ids)
      return ids.map((id) => found.get(id)?.digest?.hex ?? null)
    },
    { maxBatchSize: MOST_AT_ONCE },
  )
}

/** What a GraphQL context of ours holds. Hosts with a context of their own say where the reader is in it. */
export interface GraphqlContext {
  readonly geoReader: Reader
}
