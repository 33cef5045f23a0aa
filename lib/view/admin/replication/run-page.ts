import { html } from '@remix-run/html-template'
import { GeoError } from '../../../errors.ts'
import type { Page, Visit } from '../page.ts'
import { titleOf } from '../sites/site-view.ts'
import type { AdminSources } from '../sources.ts'
import { placeOf } from './place.ts'

/** Asks before all, or all failed ones, are fetched or hashed again. */
export async function runPage(sources: AdminSources, visit: Visit): Promise<Page> {
  const { site, replicable } = await placeOf(sources, visit)
  const { action, only } = visit.request.query
  if (action !== 'resync' && action !== 'reverify')
    throw new GeoError('PAGE_UNKNOWN', 'There is nothing at this address')
  const failed = only === 'failed'
  const types = titleOf(replicable)
  const verb = action === 'resync' ? 'Resync' : 'Reverify'
  const title = `${verb} all${failed ? ' failed' : ''} ${types.toLowerCase()} at ${site.name}?`
  const { plural } = replicable.names
  return {
    title,
    area: 'replication',
    live: null,
    regions: [
      {
        id: 'run',
        html: html`<h1>${title}</h1>
<p>${
          action === 'resync'
            ? 'Each of them is fetched from the primary again, and verified. Until then the file that is here stays.'
            : 'Each of them is hashed again and compared with the checksum of the primary.'
        } This goes on in the background; you can watch and cancel it.</p>
<form class="row" method="post" action="${visit.links.below(site.id, plural, 'run')}"><input type="hidden" name="action" value="${action}"><input type="hidden" name="only" value="${failed ? 'failed' : ''}"><button class="main">${verb} all${failed ? ' failed' : ''}</button> <a class="button" href="${visit.links.replication(site.id, plural)}">Cancel</a></form>`,
      },
    ],
  }
}
