// A product service as the commands show it to people, and its secret, once.
import type { Output } from '../../output.ts'
import { segment } from '../../path.ts'
import { type Cell, fields, instant, table } from '../../people.ts'

/** As the API answers. */
export type Service = {
  readonly id: string
  readonly name: string
  readonly description: string | null
  readonly baseUrl: string | null
  readonly checksIp: boolean
  readonly clientId: string
  readonly credentials: readonly Credential[]
  readonly createdAt: string
}
export type Credential = { readonly id: string; readonly hint: string; readonly createdAt: string }
export type WithClientSecret<T> = T & { readonly clientSecret: string }

export const pathOf = (id: string, below = ''): string => `/api/v1/services/${segment(id)}${below}`

export const serviceTable = (services: readonly Service[]): string =>
  table(
    ['ID', 'NAME', 'BASE URL', 'CHECKS IP', 'SECRETS'],
    services.map(({ id, name, baseUrl, checksIp, credentials }) => [
      id,
      name,
      baseUrl,
      checksIp ? 'yes' : 'no',
      credentials.map((one) => one.id),
    ]),
  )

export const showService = (output: Output, service: Service): void =>
  output.show({ json: { service }, quiet: [service.id], people: () => fields(servicePairs(service)) })

export const servicePairs = (service: Service): (readonly [string, Cell])[] =>
  (
    [
      ['id', service.id],
      ['name', service.name],
      ['description', service.description],
      ['base url', service.baseUrl],
      ['checks ip', service.checksIp ? 'yes' : 'no'],
      ['client id', service.clientId],
      ...service.credentials.map(
        ({ id, hint, createdAt }) =>
          ['client secret', `${id} (${hint}), since ${instant(createdAt, '-')}`] as const,
      ),
      ['created', instant(service.createdAt, '-')],
    ] as const
  ).filter(([, value]) => value !== null)
