/** The API has two names for the same thing: GitLab's `geo_nodes` is older, its `geo_sites` newer. */
export type Wording = 'node' | 'site'

export const WORDINGS: readonly Wording[] = ['node', 'site']

/** As it stands in messages and in the names of schemas. */
export const TITLES: Readonly<Record<Wording, string>> = { node: 'GeoNode', site: 'GeoSite' }

export const pathOf = (wording: Wording) => `/api/v4/geo_${wording}s`
