import type { Assembly } from './assembly.ts'
import { declaredType } from './blob/declared-type.ts'
import type { Replicable } from './blob/replicable.ts'
import { GeoError } from './errors.ts'

/**
 * The named types, each declared and on for this site; without names all that are on.
 * @throws GeoError `UNKNOWN_REPLICABLE`, `TYPE_OFF`
 */
export function chosenTypes(
  { settings, byName, gate }: Pick<Assembly, 'settings' | 'byName' | 'gate'>,
  names: readonly string[] | undefined,
): Replicable[] {
  if (!names) return settings.replicables.filter((replicable) => gate.replicationEnabled(replicable))
  return names.map((name) => {
    const replicable = declaredType(byName, name)
    if (!gate.replicationEnabled(replicable)) {
      throw new GeoError('TYPE_OFF', `The flag ${replicable.names.flag} is off for this site`)
    }
    return replicable
  })
}
