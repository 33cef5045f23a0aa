import { expect, it } from 'vitest'
import { deriveNames } from '../../lib/blob/names.ts'
import { flagDefinition } from '../../lib/generate/flag-definition.ts'

const names = deriveNames('team_photo')

it('The definition of a flag is off, and on for all sites once it is switched on', () => {
  expect(flagDefinition(names)).toMatchObject({
    features: [{ name: 'geo_team_photo_replication', description: 'Replication of team photos to secondary sites' }],
    featureStrategies: [{ name: 'default', featureName: 'geo_team_photo_replication', constraints: [] }],
    featureEnvironments: [{ featureName: 'geo_team_photo_replication', enabled: false }],
    contextFields: [{ name: 'siteName' }],
  })
})

it('The definition of a flag can be for some sites only', () => {
  const [strategy] = flagDefinition(names, { sites: ['paris', 'oslo'] }).featureStrategies
  expect(strategy?.constraints).toEqual([{ contextName: 'siteName', operator: 'IN', values: ['paris', 'oslo'] }])
})
