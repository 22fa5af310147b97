import { pushScenarios } from "./fault-push.ts";
import { testFaults } from "./fault-tests.ts";

testFaults("push", pushScenarios);
