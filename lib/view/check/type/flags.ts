import type { Replicable } from '../../../blob/replicable.ts'
import { type Check, no, skipped, yes } from '../outcome.ts'
import type { TypeCheckSources } from './sources.ts'

/** Whether anybody has heard of the flag, and what it says for each site. */
export function flagIsKnown({ settings, gate, sites }: TypeCheckSources, replicable: Replicable): Check[] {
  const { flag } = replicable.names
  const byDefault = replicable.released === null ? 'off until it is released' : `on since ${replicable.released}`
  return [
    {
      name: `The flag ${flag} is known`,
      async ask() {
        const { features } = settings
        if (!features) return skipped(`There are no \`features\`: the declaration alone says ${byDefault}`)
        if (!features.getFeatureToggleDefinition) {
          return skipped('`features` cannot be asked what they know: they have no getFeatureToggleDefinition')
        }
        if (features.getFeatureToggleDefinition(flag) !== undefined) return yes(`by default ${byDefault}`)
        if (replicable.released !== null) return yes(`no, and that is right: the type is ${byDefault}`)
        return no(
          '`features` do not know it, and the type is not released: it is off everywhere',
          `Import its definition into Unleash: geo/flags/${flag}.json, which \`npx geo generate\` has written.`,
          'If it is there, look whether the token of the client is for that environment and project.',
        )
      },
    },
    ...sites.all.map((site) => ({
      name: `The flag ${flag} is on at ${site.name}`,
      async ask() {
        const isOn = site.primary ? gate.onAtPrimary(replicable) : gate.onAt(replicable, site.name)
        if (isOn) return yes(site.primary ? 'the primary counts as on where any site is' : null)
        return skipped(`It is off there, and by default ${byDefault}`)
      },
    })),
  ]
}
