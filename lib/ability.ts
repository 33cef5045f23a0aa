/** `read_geo`: see sites, status and registries. `admin_geo`: change them. */
export type Ability = 'read_geo' | 'admin_geo'

export const ABILITIES: readonly Ability[] = Object.freeze(['read_geo', 'admin_geo'])
