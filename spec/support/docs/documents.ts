import type { Replicable } from '../../../lib/blob/replicable.ts'
import { alertRules } from './alert-rules.ts'
import { commandReference } from './command-reference.ts'
import { dashboard } from './dashboard.ts'
import { errorCodes } from './error-codes.ts'
import { eventsPage } from './events.ts'
import { graphqlPage } from './graphql-page.ts'
import { graphqlSchema } from './graphql-schema.ts'
import { metricsPage } from './metrics.ts'
import { performancePage } from './performance.ts'
import { restRoutes } from './rest-routes.ts'
import { statusFields } from './status-fields.ts'

/** What lies in docs/ by the names of the files, for the types that a host declares. */
export const DOCUMENTS: Readonly<
  Record<string, (types: readonly Pick<Replicable, 'name' | 'names'>[]) => string | Promise<string>>
> = {
  'alerts.yaml': alertRules,
  'cli.md': commandReference,
  'dashboard.json': dashboard,
  'errors.md': errorCodes,
  'events.md': eventsPage,
  'graphql.md': graphqlPage,
  'metrics.md': metricsPage,
  'performance.md': performancePage,
  'rest.md': restRoutes,
  'schema.graphql': graphqlSchema,
  'status.md': statusFields,
}
