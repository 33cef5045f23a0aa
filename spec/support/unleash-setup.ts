import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { findPorts, HOST } from '../../fixtures/demo/ports.ts'
import { afterDeath } from '../../lib/testing/postgres/after-death.ts'
import { createDatabase, databaseUrl, dropDatabase } from '../../lib/testing/postgres/database-server.ts'
import { UNLEASH_SERVER } from './unleash-package.ts'
import { until } from './until.ts'

const LOOPBACK_ONLY = fileURLToPath(new URL('loopback-only.ts', import.meta.url))
const KILL_AFTER_MS = 10_000
// Unleash takes ten logins a minute.
const LOGINS = 6
const LOGIN_AGAIN_MS = 3000
const DATABASE = 'geo_unleash'

/**
 * A real Unleash server for the whole run, in a process of its own and on a database of its own, which it takes most of its time
 * to make. It speaks with nobody but this machine.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { trackingUrl } = project.getProvidedContext().databaseServers
  const [port] = await findPorts(null)
  const base = `http://${HOST}:${port}`
  const secret = () => randomBytes(16).toString('hex')
  const [clientToken, adminToken, password] = [`*:development.${secret()}`, `*:*.${secret()}`, `Aa1-${secret()}`]
  await createDatabase(trackingUrl, DATABASE)
  const server = launch({
    PATH: process.env['PATH'],
    TZ: 'UTC',
    NODE_ENV: 'production',
    NODE_OPTIONS: `--import ${LOOPBACK_ONLY} --no-deprecation`,
    DATABASE_URL: databaseUrl(trackingUrl, DATABASE),
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
  })
  const teardown = async () => {
    await server.end()
    await dropDatabase(trackingUrl, DATABASE)
  }
  try {
    await server.serves(`${base}/health`)
    const personalToken = await personalTokenOf(base, password)
    project.provide('unleash', { url: `${base}/api`, clientToken, adminToken, personalToken })
  } catch (error) {
    await teardown()
    throw error
  }
  return teardown
}

function launch(env: Record<string, string | undefined>) {
  const child: ChildProcess = spawn(process.execPath, [UNLEASH_SERVER], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const callOff = afterDeath('kill -KILL "$1"', String(child.pid))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-20_000)
    })
  }
  return {
    async serves(healthUrl: string): Promise<void> {
      const answers = async () => {
        if (child.exitCode !== null) throw new Error(`Unleash ended with ${child.exitCode}:\n${output}`)
        return fetch(healthUrl).then(
          (response) => response.ok,
          () => false,
        )
      }
      await until(answers, 60_000, () => `Unleash to serve; it says:\n${output}`)
    },
    async end(): Promise<void> {
      callOff()
      if (child.exitCode !== null) throw new Error(`Unleash had ended with ${child.exitCode}:\n${output}`)
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
      await ended
      clearTimeout(late)
    },
  }
}

/** Logs in as the person that Unleash has made at its start. On a busy machine it may not know a session at once. */
async function personalTokenOf(base: string, password: string): Promise<string> {
  const post = (path: string, body: object, headers: Record<string, string> = {}) =>
    fetch(`${base}${path}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify(body),
    })
  const said: string[] = []
  for (let attempt = 1; attempt <= LOGINS; attempt += 1) {
    if (attempt > 1) await sleep(LOGIN_AGAIN_MS)
    const login = await post('/auth/simple/login', { username: 'operator', password })
    const cookie = login.headers.getSetCookie().map((line) => line.split(';')[0])
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const request = { description: `specs ${attempt}`, expiresAt }
    const answer = await post('/api/admin/user/tokens', request, { cookie: cookie.join('; ') })
    const text = await answer.text()
    if (answer.ok) return (JSON.parse(text) as { secret: string }).secret
    said.push(`login ${login.status}: ${await login.text()}; token ${answer.status}: ${text}`)
  }
  throw new Error(`Unleash gave no token to its first person: ${said.join('\n')}`)
}
