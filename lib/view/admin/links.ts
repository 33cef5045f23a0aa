/** Where the pages are, wherever the host has mounted them. */
export class Links {
  readonly base: string

  /** `base`: the path of the admin pages as the browser sees it, without a trailing slash. */
  constructor(base: string) {
    this.base = base
  }

  readonly to = (path: string, query: Record<string, string | readonly string[] | null | undefined> = {}): string => {
    const parameters = new URLSearchParams()
    for (const [name, value] of Object.entries(query)) {
      for (const each of [value ?? []].flat()) if (each !== '') parameters.append(name, each)
    }
    const text = parameters.toString()
    return `${this.base}${path}${text === '' ? '' : `?${text}`}`
  }

  get sites(): string {
    return this.to('/sites')
  }

  site(id: string, page: 'edit' | 'remove'): string {
    return this.to(`/sites/${id}/${page}`)
  }

  replication(siteId: string, plural: string, query?: Parameters<Links['to']>[1]): string {
    return this.to(`/sites/${siteId}/replication/${plural}`, query)
  }

  /** What lies below a list: a registry by its id, or a page or a change of the list by its word. */
  below(siteId: string, plural: string, part: string, query?: Parameters<Links['to']>[1]): string {
    return this.to(`/sites/${siteId}/replication/${plural}/${part}`, query)
  }
}
