import express from 'express'
import request from 'supertest'
import { describe, expect, it } from 'vitest'
import type { GeoOptions } from '../../lib/index.ts'
import { isAllowedBy, requireAbility } from '../../lib/view/authorize.ts'
import { recordingLogger } from '../support/recording-logger.ts'

function appOf(authorize: unknown) {
  const logger = recordingLogger()
  const settings = { authorize: authorize as NonNullable<GeoOptions['authorize']> }
  const isAllowed = isAllowedBy({ settings, logger })
  const app = express()
  app.get('/seen', requireAbility(isAllowed, 'read_geo'), (_request, response) => void response.json('seen'))
  app.post('/changed', requireAbility(isAllowed, 'admin_geo'), (_request, response) => void response.json('changed'))
  return { app, logger }
}

describe('who may see and steer', () => {
  it('is what the host says of the request and the ability', async () => {
    const { app, logger } = appOf((incoming: express.Request, ability: string) => ability === incoming.get('x-may'))
    expect((await request(app).get('/seen').set('x-may', 'read_geo')).body).toBe('seen')
    expect((await request(app).post('/changed').set('x-may', 'read_geo')).status).toBe(403)
    expect((await request(app).post('/changed').set('x-may', 'admin_geo')).body).toBe('changed')
    const refused = await request(app).get('/seen')
    expect(refused.status).toBe(403)
    expect(refused.body).toEqual({ message: '403 Forbidden' })
    expect(logger.lines).toEqual([])
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no session store')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no session store'))],
  ])('is nobody while the function of the host %s, with one line in the log', async (_how, authorize) => {
    const { app, logger } = appOf(authorize)
    expect((await request(app).get('/seen')).status).toBe(403)
    expect(logger.lines).toHaveLength(1)
    expect(logger.lines[0]).toMatchObject({
      level: 'error',
      fields: { ability: 'read_geo', error: 'no session store' },
    })
  })

  it.each([['yes'], [1], [{}], [undefined], [null]])('is nobody where it answers %j', async (answer) => {
    const { app } = appOf(() => answer)
    expect((await request(app).get('/seen')).status).toBe(403)
    expect((await request(appOf(async () => answer).app).get('/seen')).status).toBe(403)
  })
})
