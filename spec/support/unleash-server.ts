import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import type { FlagDefinition } from '../../lib/generate/flag-definition.ts'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'
import { UNLEASH_SERVER } from './unleash-package.ts'
import { until } from './until.ts'

const LOOPBACK_ONLY = fileURLToPath(new URL('loopback-only.ts', import.meta.url))
const ENVIRONMENT = 'development'
const KILL_AFTER_MS = 10_000

/** A real Unleash server in a process of its own, on a database of its own. It speaks with nobody but this machine. */
export interface UnleashServer {
  /** What a client is given. */
  readonly url: string
  readonly clientToken: string
  /** May do everything but import. */
  readonly adminToken: string
  /** Of a person, who may import too. */
  readonly personalToken: string
  /** Asks the admin API, as `adminToken` unless told otherwise. Returns what it answered as JSON; null where that is empty. */
  admin(method: string, path: string, body?: unknown, token?: string): Promise<UnleashAnswer>
  /** As an operator does with the file that the generator has made. */
  import(definition: FlagDefinition): Promise<void>
  switchOn(flag: string): Promise<void>
  switchOff(flag: string): Promise<void>
  /** As an operator does in a gradual roll-out: the one strategy of the flag counts for these sites only, or for all. */
  limitTo(flag: string, sites: readonly string[] | null): Promise<void>
  /** Its process ends; `start` begins another at the same address, on the same database. */
  stop(): Promise<void>
  start(): Promise<void>
  /** The same, and its database goes. */
  close(): Promise<void>
}

export interface UnleashAnswer {
  readonly status: number
  readonly body: unknown
}

export async function startUnleash(): Promise<UnleashServer> {
  const { trackingUrl } = inject('databaseServers')
  const database = `geo_unleash_${randomBytes(6).toString('hex')}`
  const [port] = await findPorts(null)
  const base = `http://${HOST}:${port}`
  const secret = () => randomBytes(16).toString('hex')
  const [clientToken, adminToken, password] = [`*:${ENVIRONMENT}.${secret()}`, `*:*.${secret()}`, `Aa1-${secret()}`]
  const environment = {
    PATH: process.env['PATH'],
    TZ: 'UTC',
    NODE_ENV: 'production',
    NODE_OPTIONS: `--import ${LOOPBACK_ONLY} --no-deprecation`,
    DATABASE_URL: databaseUrl(trackingUrl, database),
    DATABASE_SSL: 'false',
    HTTP_HOST: HOST,
    HTTP_PORT: String(port),
    INIT_ADMIN_API_TOKENS: adminToken,
    INIT_BACKEND_API_TOKENS: clientToken,
    UNLEASH_DEFAULT_ADMIN_USERNAME: 'operator',
    UNLEASH_DEFAULT_ADMIN_PASSWORD: password,
    UNLEASH_SECRET: secret(),
    CHECK_VERSION: 'false',
    SEND_TELEMETRY: 'false',
  }
  let running: { child: ChildProcess; callOff: () => void } | null = null
  let output = ''

  async function start(): Promise<void> {
    const child = spawn(process.execPath, [UNLEASH_SERVER], { env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
    running = { child, callOff: afterDeath('kill -KILL "$1"', String(child.pid)) }
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-20_000)
      })
    }
    const serves = async () => {
      if (child.exitCode !== null) throw new Error(`Unleash ended with ${child.exitCode}:\n${output}`)
      return fetch(`${base}/health`).then(
        (response) => response.ok,
        () => false,
      )
    }
    await until(serves, 60_000, () => `Unleash to serve; it says:\n${output}`)
  }

  async function stop(): Promise<void> {
    if (!running) return
    const { child, callOff } = running
    running = null
    callOff()
    if (child.exitCode !== null) throw new Error(`Unleash had ended with ${child.exitCode}:\n${output}`)
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
    await ended
    clearTimeout(late)
  }

  async function ask(method: string, path: string, body: unknown, headers: Record<string, string>) {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: { ...headers, 'content-type': 'application/json', connection: 'close' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, body: text === '' ? null : (JSON.parse(text) as unknown), response }
  }

  /** Logs in as the person that Unleash has made at its start. */
  async function personal(): Promise<string> {
    const { response } = await ask('POST', '/auth/simple/login', { username: 'operator', password }, {})
    const cookie = response.headers.getSetCookie().map((line) => line.split(';')[0])
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const { body } = await ask(
      'POST',
      '/api/admin/user/tokens',
      { description: 'specs', expiresAt },
      { cookie: cookie.join('; ') },
    )
    return (body as { secret: string }).secret
  }

  const admin: UnleashServer['admin'] = async (method, path, body, token = adminToken) => {
    const { status, body: answer } = await ask(method, `/api/admin${path}`, body, { authorization: token })
    return { status, body: answer }
  }
  const must: UnleashServer['admin'] = async (...request) => {
    const answer = await admin(...request)
    if (answer.status >= 300) throw new Error(`${request.slice(0, 2).join(' ')}: ${JSON.stringify(answer)}`)
    return answer
  }
  const at = (flag: string) => `/projects/default/features/${flag}/environments/${ENVIRONMENT}`

  await createDatabase(trackingUrl, database)
  const close = async () => {
    await stop()
    await dropDatabase(trackingUrl, database)
  }
  try {
    await start()
    const personalToken = await personal()
    return {
      url: `${base}/api`,
      clientToken,
      adminToken,
      personalToken,
      admin,
      async import(definition) {
        const request = { project: 'default', environment: ENVIRONMENT, data: definition }
        await must('POST', '/features-batch/import', request, personalToken)
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
      stop,
      start,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
