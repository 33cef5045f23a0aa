import type { Replicable } from '../../blob/replicable.ts'

/** GB.H.2: `gid://gitlab/Geo::WidgetRegistry/1`. */
export function globalIdOf({ names }: Pick<Replicable, 'names'>, registryId: string): string {
  return `gid://gitlab/Geo::${names.registryClass}/${registryId}`
}
