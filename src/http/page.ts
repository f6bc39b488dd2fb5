// One page of a list: a bare array, newest first, with a Link to the next (RFC 8288) when there is more.
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Cursors } from './cursor.ts'

export type PageOptions<Row> = {
  readonly cursors: Cursors
  readonly issuer: string
  /** What the cursor is good for: the list, the caller and all filters. */
  readonly list: readonly unknown[]
  readonly cursor: string | undefined
  readonly limit: number
  /** Rows older than the id, at most so many. */
  readonly read: (before: string | null, limit: number) => Promise<Row[]>
}

/** @throws Problem when the cursor does not belong to this list */
export async function page<Row extends { readonly id: string }>(
  request: FastifyRequest,
  reply: FastifyReply,
  { cursors, issuer, list, cursor, limit, read }: PageOptions<Row>,
): Promise<Row[]> {
  const name = JSON.stringify(list)
  // One more than asked for tells whether there is a next page.
  const rows = await read(cursor === undefined ? null : cursors.open(cursor, name), limit + 1)
  const shown = rows.slice(0, limit)
  if (rows.length > limit)
    reply.header('link', nextLink(issuer, request.url, cursors.seal(shown.at(-1)!.id, name)))
  return shown
}

/** Absolute on the configured base, never on a Host header. */
function nextLink(issuer: string, url: string, cursor: string): string {
  const next = new URL(url, issuer)
  next.searchParams.set('cursor', cursor)
  return `<${issuer}${next.pathname}${next.search}>; rel="next"`
}
