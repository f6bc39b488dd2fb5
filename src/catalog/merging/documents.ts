// The documents of what is published, as text, for each kind of viewer: one of all services, and one of each. Rendered
// once for each state of what is published.

import type { Db } from '../../db/tables.ts'
import { strongEtag } from '../../http/etag.ts'
import { Problem } from '../../http/problem.ts'
import { ownServiceId } from '../../identity/own-scopes.ts'
import type { Catalog, Page } from '../catalog.ts'
import type { Snapshot } from '../live.ts'
import { documents } from '../queries.ts'
import { isObject, type Json, type JsonObject, own } from '../reading/tree.ts'
import type { Shown } from '../shown.ts'
import type { Viewer } from '../viewer.ts'
import { mergedDocument, type Part } from './merge.ts'

export type MergedDependencies = {
  readonly db: Db
  readonly catalog: Catalog
  readonly issuer: string
  readonly version: string
  /** Latchkey's own document. */
  readonly ownDocument: () => JsonObject
}

const mostReads = 3

export function createDocuments({ db, catalog, issuer, version, ownDocument }: MergedDependencies) {
  const pages = new WeakMap<Shown, Map<string, Page>>()

  /** @param service null: all of them */
  async function page(service: string | null, viewer: Viewer): Promise<Page> {
    for (let tries = 1; tries <= mostReads; tries++) {
      const { snapshot, shown } = await catalog.shown(viewer)
      const known = pages.get(shown) ?? new Map<string, Page>()
      pages.set(shown, known)
      const present = known.get(service ?? '')
      if (present) return present
      const made = await render(service, snapshot, shown)
      if (made) {
        known.set(service ?? '', made)
        return made
      }
    }
    throw new Problem('unavailable', 'What is published is changing just now. Try again.')
  }

  /** null: something was published meanwhile. */
  async function render(service: string | null, snapshot: Snapshot, shown: Shown): Promise<Page | null> {
    const wanted = snapshot.services.filter(({ id }) => service === null || id === service)
    const rows = await documents(
      db,
      wanted.map(({ id }) => id),
    )
    const texts = new Map(rows.map((row) => [`${row.service_id} ${row.digest}`, row.document]))
    const parts: Part[] = service === null || service === ownServiceId ? [ownPart(shown)] : []
    for (const { id, digest } of wanted) {
      const text = texts.get(`${id} ${digest}`)
      if (text === undefined) return null
      parts.push(partOf(id, JSON.parse(text), snapshot, shown))
    }
    const info = service === null ? allInfo(issuer, version) : (own(parts[0]!.document, 'info') ?? {})
    const text = JSON.stringify(mergedDocument(parts, info))
    return { text, etag: strongEtag(text) }
  }

  const ownPart = ({ endpoints }: Shown): Part => ({
    service: ownServiceId,
    document: ownDocument(),
    servers: [{ url: issuer }],
    endpoints: endpoints.filter((one) => one.service === ownServiceId),
  })

  return { page }
}

const allInfo = (issuer: string, version: string): Json => ({
  title: 'All services',
  version,
  summary: 'What every service has published, in one document.',
  description: `Made from what services publish at ${issuer}. Where two services have the same path, the later one stands behind a fragment (#service), which clients do not send.`,
})

function partOf(
  id: string,
  document: JsonObject,
  { registered, servers: said }: Snapshot,
  shown: Shown,
): Part {
  const baseUrl = registered.find((one) => one.id === id)?.base_url ?? null
  const published = own(document, 'servers')
  const isSaid = Array.isArray(published) && (said.get(id) ?? []).length > 0
  const servers = baseUrl !== null ? [{ url: baseUrl }] : isSaid ? published.filter(isObject) : []
  return { service: id, document, servers, endpoints: shown.endpoints.filter((one) => one.service === id) }
}
