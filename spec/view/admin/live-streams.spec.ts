import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { html } from '@remix-run/html-template'
import express, { type Response } from 'express'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../lib/testing/manual-clock.ts'
import { LiveStreams, type Watched } from '../../../lib/view/admin/live.ts'
import type { Page } from '../../../lib/view/admin/page.ts'
import { recordingLogger } from '../../support/recording-logger.ts'
import { until } from '../../support/until.ts'

const page = (text: string): Page => ({
  title: 'A page',
  area: 'sites',
  live: '?',
  regions: [{ id: 'one', html: html`<p>${text}</p>` }],
})

const clock = new ManualClock()
const logger = recordingLogger()
const streams = new LiveStreams({ clock, logger })
let serve: (response: Response) => Promise<void>
let ended: Promise<void> | undefined
const app = express().get('/', (_request, response) => {
  ended = serve(response)
})
const server = createServer(app)
let url: string
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(async () => {
  streams.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const watched = (make: Watched['make']): Watched => ({ make, isStillAllowed: async () => true })

describe('A live stream', () => {
  it('takes no place for somebody who left while the page was made', async () => {
    serve = async (response) => {
      response.destroy()
      await once(response, 'close')
      await streams.serve(
        response,
        page('first'),
        watched(async () => page('again')),
      )
    }
    await expect(fetch(url)).rejects.toThrow()
    await until(() => ended !== undefined)
    await ended
    expect(clock.sleepingMs).toEqual([])
  })

  it('rests nine times as long as its page takes, and two seconds at least', async () => {
    const leaving = new AbortController()
    let takesMs = 10
    serve = (response) =>
      streams.serve(
        response,
        page('first'),
        watched(async () => {
          clock.advance(takesMs)
          return page('again')
        }),
      )
    await fetch(url, { signal: leaving.signal })
    await until(() => clock.sleepingMs.length === 1)
    expect(clock.sleepingMs).toEqual([2000])
    clock.advance(2000)
    await until(() => clock.sleepingMs.length === 1)
    expect(clock.sleepingMs).toEqual([2000])
    takesMs = 3000
    clock.advance(2000)
    await until(() => clock.sleepingMs.length === 1)
    expect(clock.sleepingMs).toEqual([27_000])
    leaving.abort()
    await ended
  })

  it('ends and is told to the log where the page can no longer be made; the browser comes again by itself', async () => {
    serve = (response) =>
      streams.serve(
        response,
        page('first'),
        watched(() => Promise.reject(new Error('The database is away'))),
      )
    const answer = await fetch(url)
    await until(() => clock.sleepingMs.length === 1)
    clock.advance(2000)
    expect(await answer.text()).toMatch(/^retry: 5000\n\nevent: region\n/)
    expect(JSON.stringify(logger)).toContain('The database is away')
  })

  it('is one of two hundred', async () => {
    const many: Promise<void>[] = []
    const refused: unknown[] = []
    const leaving = new AbortController()
    serve = (response) => {
      const one = streams.serve(
        response,
        page('first'),
        watched(async () => page('again')),
      )
      const told = one.catch((reason: unknown) => {
        refused.push((reason as { code?: unknown }).code)
        response.status(503).end()
      })
      many.push(told)
      return told
    }
    // Held on to: what nobody holds is closed by the collector.
    const open: globalThis.Response[] = []
    for (let stream = 0; stream < 200; stream++) open.push(await fetch(url, { signal: leaving.signal }))
    expect(new Set(open.map(({ status }) => status))).toEqual(new Set([200]))
    expect((await fetch(url)).status).toBe(503)
    expect(refused).toEqual(['TOO_MANY_VIEWERS'])
    leaving.abort()
    await Promise.allSettled(many)
    serve = (response) =>
      streams.serve(
        response,
        page('first'),
        watched(async () => page('again')),
      )
    const after = new AbortController()
    expect((await fetch(url, { signal: after.signal })).status).toBe(200)
    after.abort()
    await ended
  })
})
