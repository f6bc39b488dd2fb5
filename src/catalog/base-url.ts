// A new base URL of a service moves its routes, and takes a host for itself: refused where that leaves open which
// service a request is for.
import type { Trx } from '../db/tables.ts'
import { Problem } from '../http/problem.ts'
import { hostOwners } from './assess.ts'
import { conflictsOf } from './conflicts.ts'
import type { Live } from './live.ts'
import { lockCatalog } from './queries.ts'

export function baseUrlCheck(live: Live) {
  return async (trx: Trx, serviceId: string, baseUrl: string | null): Promise<void> => {
    await lockCatalog(trx)
    const snapshot = await live.within(trx)
    const endpoints = snapshot.services.find((one) => one.id === serviceId)?.endpoints ?? []
    const servers = snapshot.servers.get(serviceId) ?? []
    const registered = snapshot.registered.map((one) =>
      one.id === serviceId ? { ...one, base_url: baseUrl } : one,
    )
    const owners = hostOwners({ registered })
    const [conflict] = conflictsOf({ id: serviceId, baseUrl, servers, endpoints }, snapshot, owners)
    if (conflict) throw new Problem('conflict', conflict.detail)
    // Whoever only says in its document that it is there would be on a host that is not its own.
    if (baseUrl === null) return
    const { host } = new URL(baseUrl)
    const guest = snapshot.services.find((one) => {
      const isSaidByItself = snapshot.registered.find((row) => row.id === one.id)?.base_url === null
      return one.id !== serviceId && isSaidByItself && one.bases.some((base) => base.host === host)
    })
    if (guest) {
      throw new Problem(
        'conflict',
        `The service ${guest.id} has published that it is at ${host}. Give it a base URL there first.`,
      )
    }
  }
}
