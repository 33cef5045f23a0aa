import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { SYNC_STATE } from '../../lib/registry/sync-state.ts'
import { updateSite } from '../../lib/site-table.ts'
import type { ReceiveResult } from '../../lib/transfer/blob-order.ts'
import { TransferThreads } from '../../lib/transfer/threads.ts'
import { rangedAnswer, sendThenBreak } from '../support/ranged-answer.ts'
import { stageSecondary } from '../support/staged-secondary.ts'
import { type StagedServer, stageServer } from '../support/staged-server.ts'
import { addWantedWidget, syncOnce, widgetRow } from '../support/sync-batch.ts'
import { transferLine } from '../support/transfer-line.ts'
import { transferTask } from '../support/transfer-task.ts'

// Every parser of URLs would write this one anew: dots, doubled slashes, encodings that need not be, characters that need one.
const SIGNED = `a/../b//c/./%7Euser%2fx?X-Sig=a%2Fb+c%20d&empty=&q={|}^[]'`

let threads: TransferThreads
let primary: StagedServer
let store: StagedServer
let root: string

beforeAll(async () => {
  threads = new TransferThreads(1)
  primary = await stageServer()
  store = await stageServer()
})
afterAll(async () => {
  await threads.close()
  await primary.close()
  await store.close()
})
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'geo-redirect-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

function receive(redirectHosts: readonly string[] = [new URL(store.url).host]): Promise<ReceiveResult> {
  const task = transferTask({
    url: primary.url,
    redirectHosts,
    idleTimeoutMs: 2000,
    root,
    blobs: [{ id: '1', key: 'b', expected: null }],
  })
  return threads.receive('one', task, transferLine())
}

function redirectTo(location: string, status = 302): IncomingHttpHeaders[] {
  const asked: IncomingHttpHeaders[] = []
  primary.answer((request, response) => {
    asked.push(request.headers)
    response.writeHead(status, { location }).end('<a>there</a>')
  })
  return asked
}

it('One redirect is followed, without the token and without touching its URL', async () => {
  const seen: { url: string | undefined; headers: IncomingHttpHeaders }[] = []
  store.answer(({ url, headers }, response) => {
    seen.push({ url, headers })
    response.writeHead(200, { 'content-length': 3 }).end('abc')
  })
  for (const status of [301, 302, 303, 307, 308]) {
    redirectTo(`${store.url}${SIGNED}`, status)
    expect((await receive()).outcomes).toMatchObject([{ outcome: 'received', bytes: 3 }])
  }
  expect(seen).toHaveLength(5)
  for (const { url, headers } of seen) {
    expect(url).toBe(`/${SIGNED}`)
    expect(headers.authorization).toBeUndefined()
  }
})

it('A redirect within the primary keeps its path as it is', async () => {
  let path: string | undefined
  primary.answer(({ url, headers }, response) => {
    if (url === '/') return void response.writeHead(302, { location: `/${SIGNED}` }).end()
    path = url
    expect(headers.authorization).toBeUndefined()
    response.writeHead(200, { 'geo-blob-bytes': 3 }).end('abc')
  })
  expect((await receive()).outcomes).toMatchObject([{ outcome: 'received' }])
  expect(path).toBe(`/${SIGNED}`)
})

it('A transfer that is cut behind a redirect asks the primary again, and goes on where it stopped', async () => {
  const bytes = Buffer.alloc(200_000, 7)
  const { listener, asked } = rangedAnswer(
    () => ({ bytes, etag: '"of-the-store"' }),
    (response, rest) => (asked.length > 1 ? void response.end(rest) : sendThenBreak(response, rest, 90_000)),
  )
  store.answer(listener)
  const atPrimary = redirectTo(store.url)
  const { outcomes } = await receive()
  expect(outcomes).toMatchObject([{ outcome: 'received', bytes: 200_000 }])
  expect(asked).toMatchObject([{ range: undefined }, { range: 'bytes=90000-', ifRange: '"of-the-store"' }])
  expect(atPrimary).toMatchObject([{}, { range: 'bytes=90000-', authorization: 'GL-Geo x:y' }])
  const [received] = outcomes
  if (received?.outcome === 'received') expect(bytes.equals(await readFile(received.temporaryPath))).toBe(true)
})

it('A redirect to a host that is not named is not followed, nor a connection opened', async () => {
  let connections = 0
  store.answer((_request, response) => {
    connections += 1
    response.writeHead(200, { 'content-length': 3 }).end('abc')
  })
  const { port } = new URL(store.url)
  const refused = { kind: 'failed', code: 'REDIRECT_NOT_ALLOWED' }
  for (const [location, hosts] of [
    [store.url, []],
    [store.url, ['127.0.0.1']],
    [store.url, [`localhost:${port}`]],
    [`//127.0.0.1:${port}/x`, []],
    [`http://localhost:${port}/`, [`127.0.0.1:${port}`]],
    [`http://allowed.test\\@127.0.0.1:${port}/`, [`127.0.0.1:${port}`]],
    [`http://allowed.test@127.0.0.1:${port}/`, [`127.0.0.1:${port}`]],
    ['http://169.254.169.254/latest/meta-data/', [`127.0.0.1:${port}`]],
    ['http://[::ffff:127.0.0.1]/', []],
  ] as const) {
    redirectTo(location)
    const { outcomes, refusal } = await receive(hosts)
    expect([location, outcomes, refusal]).toMatchObject([location, [], refused])
    expect(refusal?.message).toMatch(/^The redirect leads to "http:/)
  }
  expect(connections).toBe(0)
})

it('The host of the site itself needs no naming, at its own port', async () => {
  primary.answer(({ url }, response) => {
    if (url === '/') response.writeHead(302, { location: `${primary.url}elsewhere` }).end()
    else response.writeHead(200, { 'geo-blob-bytes': 3 }).end('abc')
  })
  expect((await receive([])).outcomes).toMatchObject([{ outcome: 'received' }])
})

it('Of the primary the settings in geo_nodes say where it may send a site, from one transfer to the next', async () => {
  const staged = await stageSecondary()
  try {
    const { databases, site } = staged
    store.answer((_request, response) => void response.writeHead(200, { 'content-length': 3 }).end('abc'))
    staged.primary.answer((_request, response) => void response.writeHead(302, { location: store.url }).end())
    const id = await addWantedWidget(databases, site, { registry: { bytes: 5_000_000 } })
    await syncOnce(site)
    expect(await widgetRow(databases, site, id)).toMatchObject({
      state: SYNC_STATE.failed,
      last_sync_failure: expect.stringContaining('which is no host of that site'),
    })
    await updateSite(databases.main, 'rome', { redirectHosts: [new URL(store.url).host] })
    await site.parts.sites.refresh()
    await databases.tracking('widget_registry').update({ state: SYNC_STATE.pending, retry_at: null })
    await syncOnce(site)
    expect(await widgetRow(databases, site, id)).toMatchObject({ state: SYNC_STATE.synced, blob_key: 'a/file' })
  } finally {
    await staged.close()
  }
})

const failures: [string, () => void, object][] = [
  [
    'to another redirect',
    () => {
      redirectTo(store.url)
      store.answer((_request, response) => void response.writeHead(302, { location: store.url }).end())
    },
    { kind: 'failed', code: 'TOO_MANY_REDIRECTS' },
  ],
  ['to no address', () => redirectTo('ftp://127.0.0.1/x'), { kind: 'failed', code: 'INVALID_RESPONSE' }],
  [
    'to a link that has expired, which says nothing of our token',
    () => {
      redirectTo(store.url)
      store.answer((_request, response) => void response.writeHead(403).end('<Error/>'))
    },
    { kind: 'failed', code: 'HTTP_STATUS', message: 'Non-success HTTP response status code 403' },
  ],
  [
    'to a store that asks for patience',
    () => {
      redirectTo(store.url)
      store.answer((_request, response) => void response.writeHead(503, { 'retry-after': '3' }).end())
    },
    { kind: 'pause', code: 'PRIMARY_BUSY', retryAfterMs: 3000 },
  ],
]
for (const [where, stage, expected] of failures) {
  it(`A redirect that leads ${where} is told as such`, async () => {
    stage()
    const { outcomes, refusal } = await receive()
    expect(outcomes).toEqual([])
    expect(refusal).toMatchObject(expected)
  })
}
