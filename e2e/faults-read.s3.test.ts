import { readScenarios } from "./fault-read.ts";
import { testFaults } from "./fault-tests.ts";

testFaults("pull and verify", readScenarios);
