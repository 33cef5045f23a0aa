import type { Assembly } from '../assembly.ts'
import type { Replicable } from '../blob/replicable.ts'
import { chosenTypes } from '../chosen-types.ts'
import { GeoError } from '../errors.ts'

/**
 * The types that a command was given: names, or `--all` for those whose flag is on for this site.
 * @throws GeoError `INVALID_REQUEST`, `UNKNOWN_REPLICABLE`, `TYPE_OFF`
 */
export function chosenBy(assembly: Assembly, names: readonly string[], all: boolean): Replicable[] {
  if (all === names.length > 0) throw new GeoError('INVALID_REQUEST', 'Name types, or say --all')
  return chosenTypes(assembly, all ? undefined : names)
}

/** @throws GeoError `INVALID_REQUEST` */
export function requireOneTypeFor(ids: readonly string[] | undefined, replicables: readonly Replicable[]): void {
  if (ids && replicables.length !== 1) throw new GeoError('INVALID_REQUEST', '--id needs exactly one type')
}
