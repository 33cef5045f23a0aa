import express, { type Router } from 'express'
import { GeoError } from '../../errors.ts'
import { bodyInTime } from '../../transfer/slow-client.ts'
import { loadAssets } from './assets.ts'
import { auditPage } from './audit/audit-page.ts'
import { failoverPage } from './failover/failover-page.ts'
import { lossesPage } from './failover/losses-page.ts'
import { Links } from './links.ts'
import type { Page, Visit } from './page.ts'
import { cancellingRun, retryingFailures, startingRun, updatingRegistries } from './replication/changes.ts'
import { failuresPage } from './replication/failures-page.ts'
import { firstList } from './replication/first-list.ts'
import { listPage } from './replication/list-page.ts'
import { registryPage } from './replication/registry-page.ts'
import { runPage } from './replication/run-page.ts'
import { secureHeaders } from './security.ts'
import { send } from './send.ts'
import { Serving } from './serving.ts'
import { removePage } from './sites/remove-page.ts'
import { addingSite, changingSite, editSitePage, newSitePage, removingSite } from './sites/site-changes.ts'
import { siteOf } from './sites/site-of.ts'
import { sitesPage } from './sites/sites-page.ts'
import type { AdminSources } from './sources.ts'

export interface AdminPages {
  readonly router: Router
  close(): void
}

/** The admin pages (GB.J) under `/admin/geo`, wherever the host has mounted the router. */
export function openAdmin(sources: AdminSources): AdminPages {
  const serving = new Serving(sources)
  const show = (make: (sources: AdminSources, visit: Visit) => Page | Promise<Page>) =>
    serving.show(async (visit) => make(sources, visit))
  const writers = (make: (sources: AdminSources, visit: Visit) => Page | Promise<Page>) =>
    show((given, visit) => {
      if (!visit.mayChange) throw new GeoError('FORBIDDEN', 'You may look at these pages, and change nothing')
      return make(given, visit)
    })
  const pages = express.Router({ mergeParams: true })
  pages.use(
    secureHeaders,
    bodyInTime({ ...sources, idleTimeoutMs: sources.settings.idleTimeoutMs }),
    serving.onlyReaders,
  )

  pages.get('/', (request, response) => response.redirect(new Links(request.baseUrl).sites))
  // GitLab's name of before.
  pages.get('/nodes', (request, response) => response.redirect(new Links(request.baseUrl).sites))
  pages.get('/assets/:name', (request, response, next) => {
    const asset = Object.values(loadAssets()).find(({ name }) => name === request.params.name)
    if (!asset) return next()
    response.set('Cache-Control', 'private, max-age=31536000, immutable')
    send(request, response, asset.type, asset.body).catch(next)
  })

  pages.get('/sites', show(sitesPage))
  pages.get('/sites/new', writers(newSitePage))
  pages.post('/sites', serving.change(addingSite(sources)))
  pages.get('/sites/:id/edit', writers(editSitePage))
  pages.post('/sites/:id', serving.change(changingSite(sources)))
  pages.get(
    '/sites/:id/remove',
    writers(async (given, visit) => removePage(await siteOf(given, visit), visit)),
  )
  pages.post('/sites/:id/remove', serving.change(removingSite(sources)))

  const list = '/sites/:id/replication/:plural'
  pages.get(['/replication', '/replication/:plural'], serving.move(firstList(sources)))
  pages.get('/sites/:id/replication', serving.move(firstList(sources)))
  pages.get(list, show(listPage))
  pages.post(`${list}/change`, serving.change(updatingRegistries(sources)))
  pages.get(`${list}/run`, writers(runPage))
  pages.post(`${list}/run`, serving.change(startingRun(sources)))
  pages.post(`${list}/runs/:run/cancel`, serving.change(cancellingRun(sources)))
  pages.get(`${list}/failures`, show(failuresPage))
  pages.post(`${list}/failures`, serving.change(retryingFailures(sources)))
  pages.get(`${list}/:registry`, show(registryPage))

  pages.get('/failover', show(failoverPage))
  pages.get('/failover/:id', show(lossesPage))
  pages.get('/audit', show(auditPage))
  pages.use(
    show(() => {
      throw new GeoError('PAGE_UNKNOWN', 'There is nothing at this address')
    }),
  )

  pages.use(serving.failed)

  const router = express.Router()
  router.use('/admin/geo', pages)
  return { router, close: () => serving.close() }
}
