import { type TellingContext, tellPrimary } from './tell-primary.ts'

/**
 * A secondary has the primary enable or disable it (GB.G.2), which it may ask also while it is disabled.
 * @throws GeoError `SITE_UNKNOWN`, `PRIMARY_UNKNOWN`, `PRIMARY_UNREACHABLE`, `PRIMARY_BUSY`, `PRIMARY_REFUSED`, `HTTP_STATUS`
 */
export async function askToBeEnabled(context: TellingContext, enabled: boolean): Promise<void> {
  await tellPrimary(context, { method: 'PUT', pathOf: (me) => `api/v4/geo_nodes/${me.id}`, body: { enabled } })
}
