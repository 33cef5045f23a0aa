import { jsonText } from '../../lib/transfer/json-text.ts'
import { digestOfIds } from '../../lib/transfer/token.ts'
import type { Door, ForgersLoot, Signer } from './forgeries.ts'
import type { PrimarySite } from './primary-site.ts'

/** The doors that a secondary has, and how they are called where they are its. */
const SECONDARYS = ['details', 'graphql', 'copies', 'epoch']
const OF_SECONDARY = ' of the secondary'

/** What sites may ask of the primary, and of its secondary. */
export function doorsOf(
  { paris: { id } }: PrimarySite,
  { tokyo, paris }: { tokyo: Signer; paris: Signer },
  ids: readonly string[],
): Door[] {
  const one = { replicable_name: 'widget', replicable_id: String(ids[0]) }
  const report = JSON.stringify({ cursor_xact_id: '1', cursor_last_event_id: '1', system_identifier: 'x', timeline: 1 })
  const question = JSON.stringify({ call: 'runs', input: {} })
  const operation = JSON.stringify({ query: '{ geoNode { name } }' })
  const forSomebody = { authenticating_user_id: 'mallory', abilities: ['read_geo', 'admin_geo'] as const }
  const api = '/api/v4'
  const doors: Omit<Door, 'at'>[] = [
    { name: 'one', method: 'GET', path: `${api}/geo/retrieve/widget/${ids[0]}`, body: null, signer: paris, scope: one },
    {
      name: 'many',
      method: 'POST',
      path: `${api}/geo/retrieve/widget`,
      body: JSON.stringify({ ids }),
      signer: paris,
      scope: { replicable_name: 'widget', replicable_ids_sha256: digestOfIds(ids) },
    },
    {
      name: 'status',
      method: 'POST',
      path: `${api}/geo/status`,
      body: report,
      signer: paris,
      scope: { scope: 'geo_api' },
    },
    {
      name: 'site',
      method: 'PUT',
      path: `${api}/geo_nodes/${id}`,
      body: '{"enabled":true}',
      signer: paris,
      scope: { scope: 'geo_api' },
    },
    {
      name: 'details',
      method: 'POST',
      path: `${api}/geo/details`,
      body: question,
      signer: tokyo,
      scope: { details_sha256: jsonText(JSON.parse(question)).sha256, ...forSomebody },
    },
    {
      name: 'graphql',
      method: 'POST',
      path: `${api}/geo/graphql`,
      body: operation,
      signer: tokyo,
      scope: { graphql_sha256: jsonText(JSON.parse(operation)).sha256, ...forSomebody },
    },
    {
      name: 'copies',
      method: 'GET',
      path: `${api}/geo/copies/widget/${ids[1]}`,
      body: null,
      signer: tokyo,
      scope: { replicable_name: 'widget', replicable_id: String(ids[1]) },
    },
    {
      name: 'epoch',
      method: 'POST',
      path: `${api}/geo/epoch`,
      body: '{}',
      signer: paris,
      scope: { scope: 'geo_api' },
    },
  ]
  const ofSecondary = doors
    .filter(({ name }) => SECONDARYS.includes(name))
    .map((door): Door => ({ ...door, name: `${door.name}${OF_SECONDARY}`, at: 'secondary', signer: tokyo }))
  return [...doors.map((door): Door => ({ ...door, at: 'primary' })), ...ofSecondary]
}

/** At which other addresses what a door is for is no more than it is at any. */
export function otherPathsOf(
  { tokyo }: PrimarySite,
  [first, second]: readonly string[],
  osloId: string,
): ForgersLoot['otherPaths'] {
  const api = '/api/v4'
  const blobs = (base: string, own: string | undefined, other: string | undefined) =>
    [
      other,
      `${own}/../${other}`,
      `${other}?id=${own}`,
      `${other}/${own}`,
      `0${own}`,
      `%20${own}`,
      `${own}%00`,
      `${own}%0a`,
      `${other}%2f..%2f${own}`,
      `-${own}`,
      `+${own}`,
      `${own}.0`,
      `${own}e0`,
      '',
    ]
      .map((id) => `${base}/${id}`)
      .concat(
        `${api}/geo/retrieve/gadget/${own}`,
        `${api}/geo/retrieve/Widget/${own}`,
        `${api}/geo/retrieve/widget%00/${own}`,
      )
  const paths: ForgersLoot['otherPaths'] = {
    one: blobs(`${api}/geo/retrieve/widget`, first, second),
    many: [
      `${api}/geo/retrieve/gadget`,
      `${api}/geo/retrieve/WIDGET`,
      `${api}/geo/retrieve/widget%20`,
      `${api}/geo/status`,
      `${api}/geo/details`,
    ],
    status: [`${api}/geo/retrieve/widget`, `${api}/geo/details`, `${api}/geo/graphql`],
    site: [
      `${api}/geo_nodes/${tokyo.id}`,
      `${api}/geo_nodes/${osloId}`,
      `${api}/geo_sites/${osloId}`,
      `${api}/geo_nodes/999`,
      `${api}/geo_nodes/x`,
    ],
    details: [`${api}/geo/graphql`, `${api}/geo/status`, `${api}/geo/retrieve/widget`],
    graphql: [`${api}/geo/details`, `${api}/geo/status`, `${api}/geo/node_proxy/1/graphql`],
    copies: blobs(`${api}/geo/copies/widget`, second, first),
    epoch: [`${api}/geo/retrieve/widget`, `${api}/geo/details`, `${api}/geo/graphql`, `${api}/geo/epoch/x`],
  }
  // To any site that asks it for a blob a secondary says, whatever the token is good for, that it is not the primary.
  const atSecondary = (name: string) => (paths[name] ?? []).filter((path) => !path.startsWith(`${api}/geo/retrieve/`))
  return { ...paths, ...Object.fromEntries(SECONDARYS.map((name) => [`${name}${OF_SECONDARY}`, atSecondary(name)])) }
}
