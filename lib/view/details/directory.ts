import { GeoError } from '../../errors.ts'
import type { Site } from '../../site-table.ts'
import { detailsOf } from './answer-call.ts'
import type { Asker, DetailsDirectory } from './details.ts'
import { detailsRouter } from './details-route.ts'
import { localAnswer } from './local-details.ts'
import { RemoteDetails } from './remote-details.ts'
import type { DetailsSources } from './sources.ts'

/** Finds whom to ask for what a site knows: this site itself, or over HTTP another. */
export function openDetails(sources: DetailsSources): DetailsDirectory {
  const local = localAnswer(sources)
  const remote = new RemoteDetails(sources)
  return Object.freeze({
    of(site: Site, asker: Asker) {
      const me = sources.sites.requireMe()
      if (site.id === me.id) return detailsOf(local, asker)
      if (!me.primary) throw new GeoError('NOT_PRIMARY', 'Only the primary asks other sites for what they know')
      return detailsOf(remote.answerOf(site), asker)
    },
    router: detailsRouter(sources, local),
    close: () => remote.close(),
  })
}
