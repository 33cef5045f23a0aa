import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Health } from '../../../lib/view/health.ts'
import type { Site } from '../site.ts'
import { HealthWatch } from './health-watch.ts'

const AWAY = { code: 'STORE_NOT_MOUNTED', message: 'widget: nothing is there', advice: '' } as const
const WELL: Health = { status: 'healthy', findings: [] } as never
const ILL: Health = { status: 'unhealthy', findings: [AWAY] } as never
const HINT: Health = { status: 'healthy', findings: [{ ...AWAY, code: 'EVENTS_KEPT' }] } as never

let now: Health | Error
let watch: HealthWatch

beforeEach(() => {
  now = WELL
  const health = async () => {
    if (now instanceof Error) throw now
    return now
  }
  watch = new HealthWatch({ health, say: () => undefined } as never, { name: 'paris' } as Site)
})
afterEach(() => watch.close().catch(() => undefined))

describe('who watches the health of a site whose volume is away', () => {
  it('hears nothing of a site that says nothing', async () => {
    expect(await watch.hears('STORE_NOT_MOUNTED', 600)).toBeNull()
    expect(watch.wasIll).toBe(false)
  })

  it('hears nothing where it says something else', async () => {
    now = HINT
    expect(await watch.hears('STORE_NOT_MOUNTED', 600)).toBeNull()
    expect([...watch.heard.keys()]).toEqual(['EVENTS_KEPT'])
  })

  it('hears what it says, and knows afterwards that it was ill', async () => {
    now = ILL
    expect(await watch.hears('STORE_NOT_MOUNTED', 2000)).toBe(AWAY.message)
    now = WELL
    expect(await watch.recovers(['STORE_NOT_MOUNTED'], 2000)).toBeNull()
    expect(watch.wasIll).toBe(true)
  })

  it('says what it still says where it does not recover', async () => {
    now = ILL
    await watch.hears('STORE_NOT_MOUNTED', 2000)
    expect(await watch.recovers(['STORE_NOT_MOUNTED'], 600)).toBe('STORE_NOT_MOUNTED: widget: nothing is there')
  })

  it('says so too where another code keeps it ill', async () => {
    now = { status: 'unhealthy', findings: [{ ...AWAY, code: 'JOB_FAILING' }] } as never
    await watch.hears('JOB_FAILING', 2000)
    expect(await watch.recovers(['STORE_NOT_MOUNTED'], 600)).toBe('JOB_FAILING: widget: nothing is there')
  })

  it('has watched nothing where the site mostly could not be asked', async () => {
    now = new Error('fetch failed')
    await watch.hears('STORE_NOT_MOUNTED', 1200)
    await expect(watch.close()).rejects.toThrow('looks at the health of paris failed')
  })
})
