import { faultSeeds } from '../support/fault-seeds.ts'

faultSeeds(2)
