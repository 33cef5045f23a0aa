import { inject } from 'vitest'
import type { FlagDefinition } from '../../lib/generate/flag-definition.ts'
import { until } from './until.ts'

const ENVIRONMENT = 'development'

/** Where the one server of a run is, and who may ask it what. */
export interface UnleashAccess {
  /** What a client is given. */
  readonly url: string
  readonly clientToken: string
  /** May do everything but import. */
  readonly adminToken: string
  /** Of a person, who may import too. */
  readonly personalToken: string
}

declare module 'vitest' {
  interface ProvidedContext {
    unleash: UnleashAccess
  }
}

/** What a spec does with a real Unleash server. */
export interface UnleashServer extends UnleashAccess {
  /** Asks the admin API, as `adminToken` unless told otherwise. Returns what it answered as JSON; null where that is empty. */
  admin(method: string, path: string, body?: unknown, token?: string): Promise<UnleashAnswer>
  /** As an operator does with the file that the generator has made. */
  import(definition: FlagDefinition): Promise<void>
  switchOn(flag: string): Promise<void>
  switchOff(flag: string): Promise<void>
  /** As an operator does in a gradual roll-out: the one strategy of the flag counts for these sites only, or for all. */
  limitTo(flag: string, sites: readonly string[] | null): Promise<void>
}

export interface UnleashAnswer {
  readonly status: number
  readonly body: unknown
}

/** The server of this run, which has no such flag at first, whatever an earlier file did. */
export async function unleashWithout(flag: string): Promise<UnleashServer> {
  const access = inject('unleash')

  const admin: UnleashServer['admin'] = async (method, path, body, token = access.adminToken) => {
    const response = await fetch(`${access.url}/admin${path}`, {
      method,
      headers: { authorization: token, 'content-type': 'application/json', connection: 'close' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : (JSON.parse(text) as unknown) }
  }
  const must: UnleashServer['admin'] = async (...request) => {
    const answer = await admin(...request)
    if (answer.status >= 300) throw new Error(`${request.slice(0, 2).join(' ')}: ${JSON.stringify(answer)}`)
    return answer
  }
  const at = (flag: string) => `/projects/default/features/${flag}/environments/${ENVIRONMENT}`

  const path = `/projects/default/features/${flag}`
  if ((await admin('GET', path)).status !== 404) await must('DELETE', path)
  // It writes of the archiving once it has answered, and ends where the flag is gone by then.
  await until(async () => {
    const stages = (await must('GET', `${path}/lifecycle`)).body as { stage: string }[]
    return stages.length === 0 || stages.some(({ stage }) => stage === 'archived')
  })
  // Until it is deleted there too, an import of it is refused.
  await must('DELETE', `/archive/${flag}`)
  return {
    ...access,
    admin,
    async import(definition) {
      const request = { project: 'default', environment: ENVIRONMENT, data: definition }
      await must('POST', '/features-batch/import', request, access.personalToken)
    },
    async switchOn(flag) {
      await must('POST', `${at(flag)}/on`)
    },
    async switchOff(flag) {
      await must('POST', `${at(flag)}/off`)
    },
    async limitTo(flag, sites) {
      const [strategy] = (await must('GET', `${at(flag)}/strategies`)).body as { id: string }[]
      const constraints = sites ? [{ contextName: 'siteName', operator: 'IN', values: sites }] : []
      await must('PUT', `${at(flag)}/strategies/${strategy?.id}`, { name: 'default', parameters: {}, constraints })
    },
  }
}
