// What is said of a service, when it is registered and when it is changed.
import { type Command, Option } from 'commander'

export type ServiceOptions = {
  readonly name?: string
  readonly description?: string
  readonly baseUrl?: string
  readonly checksIp?: boolean
}

export const addServiceOptions = (command: Command): Command =>
  command
    .option('--description <text>', 'more about it')
    .option('--base-url <url>', 'where it is reached')
    .addOption(new Option('--checks-ip', 'it compares callers’ addresses with a token’s restriction itself'))

export const bodyOf = ({ name, description, baseUrl, checksIp }: ServiceOptions): object => ({
  name,
  description,
  baseUrl,
  checksIp,
})
