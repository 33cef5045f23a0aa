import express from 'express'
import request from 'supertest'
import type { Ask } from '../../lib/testing/index.ts'
import type { Subject } from '../../lib/testing/subject.ts'
import { geoGraphql } from '../../lib/view/graphql/index.ts'
import { subjectOf } from './bench.ts'

/** A type of the fixture host on a bench whose secondary has the GraphQL API, and how a client asks it over HTTP. */
export function graphqlSubjectOf(table: 'widgets' | 'gadgets'): { subject: Subject; ask: Ask } {
  const subject = subjectOf(table, {
    graphql: geoGraphql(),
    authorize: (incoming, ability) => incoming.get('x-role') === 'reader' && ability === 'read_geo',
  })
  const ask: Ask = async (query, { as = 'reader', variables } = {}) => {
    const app = express().use(subject.bench().secondary.geo.router)
    const { body } = await request(app).post('/api/graphql').set('x-role', as).send({ query, variables })
    return body
  }
  return { subject, ask }
}
