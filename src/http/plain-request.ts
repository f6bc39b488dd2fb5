// The plainest HTTP there is, read from what came in one piece: one whole request, spelled as nearly all clients spell
// it, and so that no two servers could read it differently. What is spelled in any other way, right or wrong, is not
// read here at all; that is the business of Node's parser. Pure.
import { type IncomingMessage, METHODS } from 'node:http'
import type { Socket } from 'node:net'

/** What doors read of a request beyond its body. An IncomingMessage is one. */
export type RequestHead = Readonly<Pick<IncomingMessage, 'method' | 'url' | 'headers'>> & {
  readonly socket: Pick<Socket, 'remoteAddress'>
}

export type PlainHead = RequestHead & {
  /** Of the body that is announced. */
  readonly bodyBytes: number
  /** The client wants the connection closed after the answer. */
  readonly isLast: boolean
}

export const longestPlain = 16 * 1024

/**
 * RFC 9112 §3 and §5 without what is optional, old, or a control character: origin-form, HTTP/1.1, no white space before
 * a colon, no folded lines, no bare LF, nothing but ASCII.
 */
const plainHead = new RegExp(
  `^(?:${METHODS.filter((method) => method !== 'CONNECT').join('|')}) ` +
    "/[A-Za-z0-9\\-._~!$&'()*+,;=:@/?%]* HTTP/1\\.1\\r\\n(?:[A-Za-z0-9-]+:[\\t\\x20-\\x7e]*\\r\\n)+$",
)

/** What changes how long a request is, or what is to happen before it is read (RFC 9110 §7.8, §10.1.1; RFC 9112 §6). */
const notPlain = ['transfer-encoding', 'content-encoding', 'expect', 'upgrade', 'trailer'] as const

/** An authority without user info, or nothing (RFC 9110 §7.2). */
export const isHost = (text: string): boolean => /^[A-Za-z0-9\-._~!$&'()*+,;=%:[\]]*$/.test(text)

/** Where the head ends, its last line's CRLF included; -1: it does not, or is too long. */
export function headEnd(text: string): number {
  const end = text.indexOf('\r\n\r\n')
  return end < 0 || end > longestPlain ? -1 : end + 2
}

/** @param head up to the CRLF of its last line @param socket where it came from @returns null: it is not plain */
export function readPlainHead(head: string, socket: RequestHead['socket']): PlainHead | null {
  if (!plainHead.test(head)) return null
  const lineEnd = head.indexOf('\r\n')
  const methodEnd = head.indexOf(' ')
  const headers = readHeaders(head, lineEnd + 2)
  if (headers === null || headers['host'] === undefined || !isHost(headers['host'])) return null
  for (const name of notPlain) if (headers[name] !== undefined) return null
  const connection = headers['connection']?.toLowerCase() ?? 'keep-alive'
  if (connection !== 'keep-alive' && connection !== 'close') return null
  const length = headers['content-length'] ?? '0'
  if (!/^[0-9]{1,5}$/.test(length)) return null
  return {
    method: head.slice(0, methodEnd),
    url: head.slice(methodEnd + 1, lineEnd - ' HTTP/1.1'.length),
    headers,
    socket,
    bodyBytes: Number(length),
    isLast: connection === 'close',
  }
}

/**
 * Reads the heads of one connection. A client sends the same head again and again, or the same but for the bearer's
 * secret; then the request of before is given again, with the other secret put in.
 */
export function createHeadReader(socket: RequestHead['socket']): (head: string) => PlainHead | null {
  let last = ''
  let request: PlainHead | null = null
  /** What stands around the value of Authorization. */
  let before = ''
  let after = ''

  function isSameButBearer(head: string): boolean {
    if (before === '' || !head.startsWith(before) || !head.endsWith(after)) return false
    const value = head.slice(before.length, head.length - after.length)
    if (!bearer.test(value)) return false
    request!.headers.authorization = value
    return true
  }

  function readAnew(head: string): void {
    request = readPlainHead(head, socket)
    const value = request?.headers.authorization
    const name = value !== undefined && bearer.test(value) ? authorizationName.exec(head) : null
    const from = name === null ? 0 : name.index + name[0].length
    before = head.slice(0, from)
    after = name === null ? '' : head.slice(from + value!.length)
  }

  return (head) => {
    if (head !== last && !isSameButBearer(head)) readAnew(head)
    last = head
    return request
  }
}

/** Nothing that could end a line, or begin another. */
const bearer = /^Bearer [0-9A-Za-z_]+$/
const authorizationName = /\r\nauthorization:[\t ]*/i

/** @returns null where a name stands twice: which of them counts, servers do not agree on */
function readHeaders(head: string, from: number): Record<string, string> | null {
  const headers: Record<string, string> = {}
  for (let at = from; at < head.length; ) {
    const colon = head.indexOf(':', at)
    const end = head.indexOf('\r\n', colon)
    const name = head.slice(at, colon).toLowerCase()
    if (headers[name] !== undefined) return null
    headers[name] = head.slice(colon + 1, end).trim()
    at = end + 2
  }
  return headers
}
