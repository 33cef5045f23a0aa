import { beforeAll, expect, it } from 'vitest'
import { deriveNames } from '../../lib/blob/names.ts'
import { flagDefinition } from '../../lib/generate/flag-definition.ts'
import { type UnleashServer, unleashWithout } from '../support/unleash-server.ts'

const names = deriveNames('widget')

let unleash: UnleashServer

beforeAll(async () => {
  unleash = await unleashWithout(names.flag)
})

const importOf = (sites: readonly string[]) => ({
  project: 'default',
  environment: 'development',
  data: flagDefinition(names, { sites }),
})

it('Unleash finds nothing wrong with the definition of a flag, and what it exports then is the same', async () => {
  const request = importOf(['paris'])
  const validated = await unleash.admin('POST', '/features-batch/validate', request, unleash.personalToken)
  expect(validated.body).toEqual({ errors: [], warnings: [], permissions: [] })
  await unleash.import(request.data)
  const exported = await unleash.admin('POST', '/features-batch/export', {
    features: [names.flag],
    environment: 'development',
  })
  expect(exported).toMatchObject({ status: 200, body: request.data })
})

it('A token of type admin may not import, as the docstring says', async () => {
  const answer = await unleash.admin('POST', '/features-batch/import', importOf([]))
  expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining('personal access token') } })
})

it('The definition imported again makes the flag as it says: off, for all sites', async () => {
  await unleash.import(flagDefinition(names, { sites: ['paris'] }))
  await unleash.switchOn(names.flag)
  await unleash.import(flagDefinition(names))
  const flag = await unleash.admin('GET', `/projects/default/features/${names.flag}/environments/development`)
  expect(flag.body).toMatchObject({ enabled: false, strategies: [{ name: 'default', constraints: [] }] })
})
