// Every request has an id, in its answer, its log lines and its audit events. A caller's own id is kept.
import { newId } from '../db/ids.ts'
import type { RequestHead } from './plain-request.ts'

/** One UUID for each process and a counter: unique, sortable, and nearly free. */
export function requestIds(now: number): (request: RequestHead) => string {
  const start = newId('req', now)
  let count = 0
  return (request) => {
    const given = request.headers['x-request-id']
    if (typeof given === 'string' && /^[A-Za-z0-9_.-]{1,64}$/.test(given)) return given
    count += 1
    return `${start}-${count.toString(36)}`
  }
}
