const express = require('express')
const { createGeo } = require('express-geo-replication')
const options = require('../geo.config.js')
const { photos } = require('./photo.js')

/**
 * In the place of plain-app's `geo/geo.js`: the options that its guide leaves to the one about monitoring, and two routes that
 * fail. Who asks, a header says.
 */

const sessionStoreDown = () => Promise.reject(new Error('The session store is down'))

const geo = createGeo({
  ...options,
  authorize: async (req, ability) => {
    const role = req.get('x-role')
    if (role === 'lost') return sessionStoreDown()
    return role === 'admin' || (role === 'reader' && ability === 'read_geo')
  },
  operator: async (req) => req.get('x-operator') ?? sessionStoreDown(),
  metrics: { token: process.env.SCRAPE_TOKEN },
})

const failing = express.Router()
failing.get(
  '/typeless/:id',
  geo.serve(photos, {
    contentType() {
      throw new Error('There is no type')
    },
  }),
)
failing.get('/runs/:id', (req, res, next) => {
  geo.bulk.get(req.params.id).then((run) => res.json(run), next)
})

module.exports = { geo: { ...geo, router: express.Router().use(geo.router, failing) } }
